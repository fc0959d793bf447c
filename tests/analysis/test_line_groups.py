"""Labels by group of lines: groups agree where theory is right, and the one that theory has wrong disagrees."""

import dataclasses

import numpy as np
import pytest
import torch

from synth2obs.analysis.line_groups import GROUPS, labels_by_group
from synth2obs.models.fit.observation import prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.task import fit_labels

COUNT = 16


@pytest.fixture(scope="module")
def stars(fine, labels_of, stars_of):
    """Spectra of theory, and others of stars 300 K hotter."""
    labels = labels_of(COUNT, seed=4, share=0.5)
    hotter = labels + np.eye(5)[0] * 300.0
    return [stars_of("near", fine.predict(table, "near"), snr=300, finer=4) for table in (labels, hotter)]


def by_group(bridge, spectra):
    seen = prepare(bridge, "near", spectra)
    fit = fit_labels(bridge, seen, Options(morphed=False, population=False))
    return labels_by_group(bridge, seen, fit, morphed=False)


def test_groups_agree_where_theory_is_right(fine, stars):
    found = by_group(fine, stars[0])
    assert set(found) <= set(GROUPS) and "weak" in found
    assert "hydrogen" not in found  # none in 5000 to 5400 Å
    for group in found.values():
        assert abs(group["teff"]["difference"]) < 4 * group["teff"]["error"] + 10.0


def test_stars_may_have_pixels_of_their_own(fine, stars, monkeypatch):
    monkeypatch.setattr("synth2obs.analysis.line_groups.STARS", COUNT // 2)
    one = stars[0]
    own = dataclasses.replace(one, wavelength=np.tile(one.wavelength, (COUNT, 1)))
    shared, apart = by_group(fine, one), by_group(fine, own)
    assert shared.keys() == apart.keys()
    for name, group in shared.items():
        assert apart[name]["teff"]["difference"] == pytest.approx(group["teff"]["difference"], abs=2.0)


def test_a_group_of_wrong_lines_disagrees(fine, stars):
    """The red third is that of stars 300 K hotter: theory's lines there are wrong alike."""
    one, two = stars
    red = np.asarray(one.wavelength) > 5020 * (5380 / 5020) ** (2 / 3)
    mixed = dataclasses.replace(one, flux=np.where(red, two.flux, one.flux))
    found = by_group(fine, mixed)
    assert found["red"]["teff"]["difference"] > 50.0
    assert found["blue"]["teff"]["difference"] < -20.0
    assert found["red"]["teff"]["difference"] > 5 * found["red"]["teff"]["error"]


def test_groups_share_no_pixel_that_is_hydrogen_s():
    wavelength = torch.linspace(4200.0, 7000.0, 4000)[None]
    place, depth = torch.linspace(0, 1, 4000)[None], torch.rand(1, 4000)
    inside = {name: choose(wavelength, depth, place) for name, choose in GROUPS.items()}
    rest = inside["metals"]
    assert not (inside["hydrogen"] & rest).any() and (inside["hydrogen"] | rest).all()
    assert torch.equal(inside["strong"] | inside["weak"], rest)
    thirds = torch.stack([inside[part] for part in ("blue", "middle", "red")])
    assert torch.equal(thirds.sum(0), rest.long())
