"""A table of spectra is checked when it is made."""

from dataclasses import fields, replace

import numpy as np
import pytest

from synth2obs.core.errors import DataError
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Spectra

STARS, PIXELS = 5, 12
WAVELENGTH = np.concatenate([5000.0 + np.arange(6), 4000.0 + np.arange(6)])
SIGMA = np.linspace(0.8, 0.9, PIXELS)


def table(**changes):
    random = np.random.default_rng(0)
    given = dict(
        domain="toy",
        kind="survey",
        wavelength=WAVELENGTH,
        segment=np.repeat([0, 1], 6),
        flux=random.uniform(0.5, 1, (STARS, PIXELS)).astype(np.float32),
        ivar=random.uniform(10, 100, (STARS, PIXELS)).astype(np.float32),
        id=[f"star {row}" for row in range(STARS)],
        lsf_sigma=SIGMA,
        rv=np.nan,
        rv_error=np.nan,
        snr=50.0,
        frame="barycentric",
    )
    return Spectra(**{**given, **changes})


def same(one, other):
    for item in fields(Spectra):
        mine, theirs = getattr(one, item.name), getattr(other, item.name)
        if isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(mine, theirs, err_msg=item.name)
    np.testing.assert_array_equal(one.line_spread.each().sigma, other.line_spread.each().sigma)


def test_arrays_of_torch_and_numpy_are_as_they_should_be():
    found = table(
        flux=table().flux.astype(">f8"), wavelength=WAVELENGTH.tolist(), segment=table().segment.tolist()
    )
    for item in (found.flux, found.wavelength, found.rv, found.line_spread.sigma):
        assert item.dtype.isnative and item.flags.writeable and item.dtype.kind == "f"
    assert found.rv.shape == found.snr.shape == (STARS,) and found.id.dtype.kind == "U"
    np.testing.assert_array_equal(found.flux.astype(np.float32), table().flux)


def test_what_is_right_already_is_not_copied():
    one = table()
    two = replace(one)
    assert all(getattr(one, name) is getattr(two, name) for name in ("flux", "ivar", "wavelength"))


def test_detectors_that_run_from_red_to_blue_are_turned():
    one, order = table(), np.r_[5:-1:-1, 6:12]
    back = table(
        **{name: getattr(one, name)[..., order] for name in ("wavelength", "flux", "ivar", "segment")},
        lsf_sigma=one.lsf_sigma[:, order],
    )
    same(back, one)


def test_gaussian_widths_stand_for_a_line_spread():
    one = table(lsf_sigma=np.tile(SIGMA, (2, 1)) * [[1], [2]], lsf_group=[0, 1, 0, 1, 1])
    assert one.lsf_sigma.shape == (2, PIXELS) and list(one.lsf_group) == [0, 1, 0, 1, 1]
    wider = replace(one, lsf_sigma=2 * one.lsf_sigma)
    assert list(wider.lsf_group) == [0, 1, 0, 1, 1] and np.allclose(wider.lsf_sigma, 2 * one.lsf_sigma)
    assert list(replace(one, lsf_group=[0] * STARS).lsf_group) == [0] * STARS
    assert len(table(lsf_sigma=np.tile(SIGMA, (STARS, 1))).lsf_sigma) == STARS
    shaped = LineSpread.single(SIGMA, hermite=np.zeros((PIXELS, 2)), stars=STARS)
    kept = replace(replace(one, line_spread=shaped), snr=1.0)
    assert kept.line_spread.hermite is not None


def test_masked_pixels_are_bad():
    mask = np.zeros((STARS, PIXELS), bool)
    mask[2, 3] = True
    found = table(flux=np.ma.masked_array(table().flux, mask))
    assert found.ivar[2, 3] == found.flux[2, 3] == 0 and (found.ivar > 0).sum() == STARS * PIXELS - 1


def test_rows_and_pixels_of_a_table_are_not_checked_again(monkeypatch):
    one = table()
    monkeypatch.setattr("synth2obs.core.spectra.right_fields", None)
    assert len(one.take(np.arange(0))) == 0 and len(one.take(one.snr > 0)) == STARS
    assert one.cut(one.segment == 1).flux.shape == (STARS, 6)
    assert (one.masked(one.flux > 0).ivar == 0).all()


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"flux": [["bright"] * PIXELS] * STARS}, "flux: must be real numbers"),
        ({"flux": np.ones(PIXELS)}, r"flux: has shape \(12,\)"),
        ({"flux": np.ones((0, PIXELS))}, r"flux: has shape \(0, 12\)"),
        ({"flux": np.full((STARS, PIXELS), np.nan)}, "flux: NaN or infinite in a good pixel"),
        ({"ivar": np.ones((STARS, 3))}, r"ivar: has shape \(5, 3\)"),
        ({"ivar": -np.ones((STARS, PIXELS))}, "ivar: negative"),
        ({"ivar": None, "kind": "grid", "flux": np.ma.masked_all((STARS, PIXELS))}, "flux: is masked"),
        ({"wavelength": WAVELENGTH[[1, 0, 2, 4, 3, 5, 6, 7, 8, 9, 10, 11]]}, "wavelength: does not increase"),
        ({"wavelength": WAVELENGTH / 1e3}, "wavelength.*µm"),
        ({"segment": [0, 1] * 6}, "segment: a segment is not contiguous"),
        ({"segment": [0] * 6 + [40_000] * 6}, "segment: runs from 0 to 40000"),
        ({"flags": -np.ones((STARS, PIXELS), int)}, "flags: runs from -1"),
        ({"id": [b"\xff"] * STARS}, "id: is not UTF-8"),
        ({"id": ["a"] * STARS}, "id: 'a' occurs 5 times"),
        ({"rv": 3e5}, "rv: is faster than light"),
        ({"rv": [0, 0, 0, 0, -9999]}, "rv: is -9999 for a star, which marks an unknown"),
        ({"snr": -1.0}, "snr: is negative"),
        ({"lsf_sigma": 1e6 * SIGMA}, "sigma: is 900000 Å, wider than the spectrum, 1005 Å"),
        ({"lsf_sigma": 0 * SIGMA}, "sigma: must be finite and > 0"),
        ({"lsf_sigma": SIGMA[1:]}, r"sigma: has shape \(1, 11\)"),
        ({"lsf_sigma": np.ones((3, PIXELS))}, "group: sigma has 3 rows"),
        ({"line_spread": 1.0, "lsf_sigma": None}, "line_spread: is a float"),
        ({"labels": {"teff": [1.0]}}, r"labels.teff: has shape \(1,\)"),
        ({"kind": "galaxy"}, "kind: is 'galaxy'; use one of grid, survey"),
        ({"domain": "my survey"}, "domain: 'my survey' cannot name a survey.*my_survey"),
        ({"rv": -9999.0, "snr": -1.0}, "2 problems"),
    ],
)
def test_what_cannot_be_used_is_named(changes, words):
    with pytest.raises(DataError, match=words):
        table(**changes)
