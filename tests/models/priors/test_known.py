"""Priors of single stars: what is known enters the fit, and what cannot be is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from synth2obs.core.errors import DataError
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.task import fit_labels
from synth2obs.models.priors.by_star import by_star
from synth2obs.models.priors.known import Known, StarPrior

COUNT = 4


def known_of(bridge, columns, count=COUNT):
    return Known.of(bridge.labels, bridge.scale, count, columns)


def test_its_terms_are_derivatives(bridge, slope_of, labels_of):
    x = bridge.scale(torch.from_numpy(labels_of(COUNT)))
    known = known_of(
        bridge, {"teff": np.full(COUNT, 5500.0), "teff_error": 80.0, "logg": 3.0, "logg_error": 0.1}
    )
    prior = StarPrior(bridge.label_prior(population=False), known)
    own = StarPrior(bridge.label_prior(population=False), known).known
    half = lambda at: (0.5 * own.precision * (at - own.centre).square()).sum(1, keepdim=True)  # noqa: E731
    common = bridge.label_prior(population=False)(x)
    torch.testing.assert_close(
        prior(x).gradient - common.gradient, slope_of(half, x)[:, 0], rtol=1e-5, atol=1e-6
    )
    torch.testing.assert_close(prior(x).value - common.value, half(x)[:, 0])
    candidates = x[:3]
    expected = torch.stack(
        [prior.take(torch.tensor([n]))(candidates[[c]]).value for n in range(COUNT) for c in range(3)]
    )
    torch.testing.assert_close(prior.among(candidates).flatten(), expected.flatten())


def test_a_tight_prior_wins_and_none_changes_nothing(bridge, labels_of, stars_of):
    labels = labels_of(COUNT, seed=3, share=0.5)
    seen = prepare(bridge, "toy", stars_of(bridge, labels, np.zeros(COUNT), snr=50.0))
    free = fit_labels(bridge, seen, Options(population=False))
    wanted = np.array([5000.0, np.nan, 5900.0, np.nan])
    known = known_of(bridge, {"teff": wanted, "teff_error": 0.5})
    held = fit_labels(bridge, replace(seen, known=known), Options(population=False))
    teff = bridge.scale.inverse(held.x)[:, 0].numpy()
    np.testing.assert_allclose(teff[[0, 2]], wanted[[0, 2]], atol=2.0)
    torch.testing.assert_close(held.x[[1, 3]], free.x[[1, 3]], rtol=0, atol=2e-3)


@pytest.mark.parametrize(
    "columns, word",
    [
        ({"mass": 1.0, "mass_error": 0.1}, "no label"),
        ({"teff": 5000.0}, "no error"),
        ({"teff": 5000.0, "teff_error": 0.0}, "positive"),
        ({"teff": [5000.0, 5100.0], "teff_error": 50.0}, "shapes"),
    ],
)
def test_what_cannot_be_is_refused(bridge, columns, word):
    with pytest.raises(DataError, match=word):
        known_of(bridge, columns)


def test_a_table_is_put_in_the_order_of_the_spectra():
    table = {"id": ["b", "a"], "teff": np.ma.masked_values([5.0, 6.0], 6.0)}
    np.testing.assert_array_equal(by_star(table, ["a", "c", "b"])["teff"], [np.nan, np.nan, 5.0])
    for bad, word in (
        ({"id": ["a", "a"], "teff": [1.0, 2.0]}, "twice"),
        ({"id": ["z"], "teff": [1.0]}, "no id"),
    ):
        with pytest.raises(DataError, match=word):
            by_star(bad, ["a"])
