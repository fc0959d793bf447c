"""Stars that fit badly, or lie at an end of the grid, are fitted from elsewhere too."""

from dataclasses import replace

import torch

from synth2obs.analysis.flags import FLAGS, RIVAL
from synth2obs.analysis.rivals import against_rivals, put, suspicious
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.result import FIELDS, LabelFit


def fit_of(bridge, count=3, chi2=100.0):
    fields = {name: torch.zeros(count) for name in FIELDS}
    x = bridge.scale(torch.as_tensor(bridge.labels.default)[None]).expand(count, -1)
    fields |= {"theta": x.clone(), "chi2": torch.full((count,), chi2), "pixels": torch.full((count,), 100)}
    return LabelFit(**fields)


def test_only_bad_fits_and_ends_of_the_grid_are_suspicious(bridge):
    fit = fit_of(bridge)
    fit.chi2[1] = 200.0
    fit.theta[2, bridge.labels.index("fe_h")] = -1e3
    assert suspicious(bridge, fit).tolist() == [False, True, True]


def test_nothing_suspicious_costs_nothing(bridge):
    fit = fit_of(bridge)
    same, rival = against_rivals(bridge, [0, 1, 2], fit, Options())
    assert same is fit and not rival.any()


def test_theory_that_names_another_kind_of_star_is_a_rival(bridge, monkeypatch):
    fit = replace(
        fit_of(bridge), chi2=torch.tensor([100.0, 200.0, 200.0]), objective=torch.tensor([10.0, 10.0, 10.0])
    )

    class Seen(list):
        def take(self, rows):
            return Seen([self[row] for row in rows.tolist()])

    def other(bridge, seen, options, x=None, rv=None):
        part = fit.take(torch.tensor(list(seen)))
        moved = part.theta.clone()
        moved[:, bridge.labels.index("teff")] += torch.tensor([0.0, 3.0], dtype=moved.dtype)
        return replace(part, theta=moved, objective=part.objective - 1.0)

    monkeypatch.setattr("synth2obs.analysis.rivals.fit_labels", other)
    found, rival = against_rivals(bridge, Seen(range(3)), fit, Options())
    assert rival.tolist() == [False, False, True]
    assert found.objective.tolist() == [10.0, 9.0, 9.0]


def test_some_stars_are_put_back(bridge):
    fit = fit_of(bridge)
    rows = torch.tensor([2, 0])
    part = replace(fit.take(rows), chi2=torch.tensor([1.0, 2.0]))
    assert put(fit, rows, part).chi2.tolist() == [2.0, 100.0, 1.0]
    assert RIVAL in FLAGS
