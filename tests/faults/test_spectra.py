"""Faults of the spectra that the public functions are given: refused by name, or answered as if there were none."""

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
import torch

from synth2obs.core.constants import C_KMS
from synth2obs.core.spectra import Spectra

pytestmark = pytest.mark.slow


def _last(values, value):
    """The same with another last entry."""
    changed = np.array(values)
    changed[..., -1] = value
    return changed


def _backwards(s):
    back = {name: getattr(s, name)[..., ::-1] for name in ("wavelength", "flux", "ivar", "segment")}
    return {**back, "lsf_sigma": s.lsf_sigma[:, ::-1]}


def _shuffled(s):
    order = np.random.default_rng(0).permutation(len(s.wavelength))
    return {"wavelength": s.wavelength[order]}


def _masked(s, name):
    """A masked pixel that is nonsense beneath, and what it means."""
    values = np.ma.masked_array(getattr(s, name).copy(), mask=False)
    values[0, 3] = -1e30
    values[0, 3] = np.ma.masked
    return {name: values}


RIGHT = {
    "flux big-endian": lambda s: {"flux": s.flux.astype(">f4")},
    "flux and ivar big-endian doubles": lambda s: {
        "flux": s.flux.astype(">f8"),
        "ivar": s.ivar.astype(">f8"),
    },
    "flux float64": lambda s: {"flux": s.flux.astype(float)},
    "flux longdouble": lambda s: {"flux": s.flux.astype(np.longdouble)},
    "flux of counts": lambda s: {"flux": (s.flux * 1e6).astype(np.int64), "ivar": s.ivar / 1e12},
    "flux of big-endian counts": lambda s: {"flux": (s.flux * 1e6).astype(">i4"), "ivar": s.ivar / 1e12},
    "flux a list": lambda s: {"flux": s.flux.tolist()},
    "flux a tensor": lambda s: {"flux": torch.from_numpy(s.flux)},
    "flux a tensor with gradient": lambda s: {"flux": torch.from_numpy(s.flux.copy()).requires_grad_()},
    "flux in Fortran's order": lambda s: {"flux": np.asfortranarray(s.flux)},
    "flux read only": lambda s: {"flux": np.frombuffer(s.flux.tobytes(), np.float32).reshape(s.flux.shape)},
    "flux turned twice": lambda s: {"flux": s.flux[:, ::-1].copy()[:, ::-1]},
    "flux a quantity": lambda s: {"flux": s.flux * u.Jy},
    "flux and ivar in other units": lambda s: {"flux": s.flux * u.Jy, "ivar": s.ivar * 1e-6 / u.mJy**2},
    "flux tiny, in doubles": lambda s: {"flux": s.flux * 1e-26, "ivar": s.ivar.astype(float) * 1e52},
    "flux huge, in doubles": lambda s: {
        "flux": s.flux.astype(float) * 1e30,
        "ivar": s.ivar.astype(float) / 1e60,
    },
    "ivar a list": lambda s: {"ivar": s.ivar.tolist()},
    "ivar a masked array": lambda s: {"ivar": np.ma.masked_array(s.ivar, mask=False)},
    "wavelength big-endian": lambda s: {"wavelength": s.wavelength.astype(">f8")},
    "wavelength a list": lambda s: {"wavelength": s.wavelength.tolist()},
    "wavelength in nm": lambda s: {"wavelength": s.wavelength / 10 * u.nm},
    "wavelength of every star": lambda s: {"wavelength": np.broadcast_to(s.wavelength, s.flux.shape)},
    "wavelength falling": _backwards,
    "segment one number": lambda s: {"segment": 0},
    "segment a list": lambda s: {"segment": s.segment.tolist()},
    "segment whole floats": lambda s: {"segment": s.segment.astype(float)},
    "id a list": lambda s: {"id": list(map(str, s.id))},
    "id bytes": lambda s: {"id": s.id.astype("S")},
    "id objects": lambda s: {"id": s.id.astype(object)},
    "id numbers": lambda s: {"id": np.arange(len(s))},
    "rv a list": lambda s: {"rv": s.rv.tolist()},
    "rv masked": lambda s: {"rv": np.ma.masked_array(s.rv, mask=False)},
    "rv in m/s": lambda s: {"rv": s.rv * 1000 * u.m / u.s},
    "rv tiny": lambda s: {"rv": np.full(len(s), 1e-300)},
    "snr one number": lambda s: {"snr": 50.0},
    "snr whole": lambda s: {"snr": [50] * len(s)},
    "lsf_sigma alone": lambda s: {"lsf_sigma": s.lsf_sigma},
    "lsf_sigma of one star": lambda s: {"lsf_sigma": s.lsf_sigma[0]},
    "lsf_sigma of every star": lambda s: {"lsf_sigma": np.tile(s.lsf_sigma, (len(s), 1))},
    "lsf_sigma and lsf_group": lambda s: {"lsf_sigma": s.lsf_sigma.tolist(), "lsf_group": [0] * len(s)},
    "lsf_sigma big-endian in nm": lambda s: {"lsf_sigma": (s.lsf_sigma / 10).astype(">f8") * u.nm},
    "labels a list": lambda s: {"labels": {"teff": [5000] * len(s)}},
    "native numbers and text": lambda s: {"native": {"a": list(range(len(s))), "b": ["x"] * len(s)}},
    "flags of int64": lambda s: {"flags": np.zeros(s.flux.shape, np.int64)},
}
"""Spectra that are fine, in whatever form."""

WRONG = {
    "flux text": (lambda s: {"flux": s.flux.astype(str)}, "flux"),
    "flux objects": (lambda s: {"flux": s.flux.astype(object)}, "flux"),
    "flux complex": (lambda s: {"flux": s.flux + 0j}, "flux"),
    "flux ragged": (lambda s: {"flux": [[1.0], [1.0, 2.0]]}, "flux"),
    "flux None": (lambda s: {"flux": [None] * len(s)}, "flux"),
    "flux of one star": (lambda s: {"flux": s.flux[0]}, "flux"),
    "flux turned round": (lambda s: {"flux": s.flux.T}, "wavelength|ivar"),
    "flux a cube": (lambda s: {"flux": s.flux[None]}, "flux"),
    "flux in magnitudes": (lambda s: {"flux": -2.5 * np.log10(s.flux) * u.mag}, "flux.*mag"),
    "flux in dex": (lambda s: {"flux": np.log10(s.flux) * u.dex}, "flux.*dex"),
    "flux NaN": (lambda s: {"flux": _last(s.flux, np.nan)}, "flux"),
    "flux infinite": (lambda s: {"flux": _last(s.flux, -np.inf)}, "flux"),
    "flux without stars": (lambda s: {"flux": s.flux[:0]}, "flux"),
    "flux without pixels": (lambda s: {"flux": s.flux[:, :0]}, "flux"),
    "flux beyond float16": (lambda s: {"flux": np.full(s.flux.shape, np.inf, np.float16)}, "flux"),
    "ivar negative": (lambda s: {"ivar": -s.ivar}, "ivar"),
    "ivar NaN": (lambda s: {"ivar": _last(s.ivar, np.nan)}, "ivar"),
    "ivar infinite": (lambda s: {"ivar": _last(s.ivar, np.inf)}, "ivar"),
    "ivar text": (lambda s: {"ivar": s.ivar.astype(str)}, "ivar"),
    "ivar complex": (lambda s: {"ivar": s.ivar * 1j}, "ivar"),
    "ivar of one star": (lambda s: {"ivar": s.ivar[0]}, "ivar"),
    "ivar a pixel short": (lambda s: {"ivar": s.ivar[:, 1:]}, "ivar"),
    "ivar missing": (lambda s: {"ivar": None}, "ivar"),
    "ivar in Jy": (lambda s: {"flux": s.flux * u.Jy, "ivar": s.ivar * u.Jy}, "ivar"),
    "ivar of a grid": (lambda s: {"kind": "grid"}, "ivar"),
    "wavelength NaN": (lambda s: {"wavelength": _last(s.wavelength, np.nan)}, "wavelength"),
    "wavelength infinite": (lambda s: {"wavelength": _last(s.wavelength, np.inf)}, "wavelength"),
    "wavelength negative": (lambda s: {"wavelength": -s.wavelength[::-1]}, "wavelength"),
    "wavelength zero": (lambda s: {"wavelength": s.wavelength * 0}, "wavelength"),
    "wavelength nm without unit": (lambda s: {"wavelength": s.wavelength / 10}, "wavelength.*nm"),
    "wavelength µm": (lambda s: {"wavelength": s.wavelength / 1e4}, "wavelength.*µm"),
    "wavelength log10": (lambda s: {"wavelength": np.log10(s.wavelength)}, "wavelength.*log10"),
    "wavelength ln": (lambda s: {"wavelength": np.log(s.wavelength)}, "wavelength.*ln"),
    "wavelength Hz": (lambda s: {"wavelength": s.wavelength * u.Hz}, "wavelength.*Hz"),
    "wavelength repeated": (lambda s: {"wavelength": _last(s.wavelength, s.wavelength[-2])}, "wavelength"),
    "wavelength shuffled": (_shuffled, "wavelength"),
    "wavelength of half precision": (lambda s: {"wavelength": s.wavelength.astype(np.float16)}, "wavelength"),
    "wavelength masked": (
        lambda s: {"wavelength": np.ma.masked_greater(s.wavelength, 5200)},
        "wavelength.*masked",
    ),
    "wavelength a pixel short": (lambda s: {"wavelength": s.wavelength[1:]}, "wavelength"),
    "wavelength of two stars": (lambda s: {"wavelength": np.tile(s.wavelength, (2, 1))}, "wavelength"),
    "wavelength text": (lambda s: {"wavelength": s.wavelength.astype(str)}, "wavelength"),
    "wavelength complex": (lambda s: {"wavelength": s.wavelength + 0j}, "wavelength"),
    "wavelength far away": (lambda s: {"wavelength": s.wavelength * 20}, "wavelength"),
    "segment a pixel short": (lambda s: {"segment": s.segment[1:]}, "segment"),
    "segment in pieces": (lambda s: {"segment": np.arange(len(s.segment)) % 2}, "segment"),
    "segment text": (lambda s: {"segment": ["blue"] * len(s.segment)}, "segment"),
    "segment fractions": (lambda s: {"segment": s.segment + 0.5}, "segment"),
    "segment NaN": (lambda s: {"segment": s.segment * np.nan}, "segment"),
    "id twice": (lambda s: {"id": ["star"] * len(s)}, "id"),
    "id empty": (lambda s: {"id": ["", *map(str, s.id[1:])]}, "id"),
    "id too few": (lambda s: {"id": s.id[1:]}, "id"),
    "id floats": (lambda s: {"id": np.arange(len(s)) + 0.5}, "id"),
    "id None": (lambda s: {"id": [None] * len(s)}, "id"),
    "id masked": (lambda s: {"id": np.ma.masked_array(s.id, mask=True)}, "id"),
    "rv of light": (lambda s: {"rv": np.full(len(s), C_KMS)}, "rv"),
    "rv of light, approaching": (lambda s: {"rv": np.full(len(s), -C_KMS)}, "rv"),
    "rv beyond light": (lambda s: {"rv": np.full(len(s), 1e9)}, "rv"),
    "rv infinite": (lambda s: {"rv": np.full(len(s), np.inf)}, "rv"),
    "rv -9999": (lambda s: {"rv": np.full(len(s), -9999.0)}, "rv.*-9999"),
    "rv 99999.9": (lambda s: {"rv": np.full(len(s), 99999.9)}, "rv"),
    "rv text": (lambda s: {"rv": ["fast"] * len(s)}, "rv"),
    "rv complex": (lambda s: {"rv": s.rv + 1j}, "rv"),
    "rv too few": (lambda s: {"rv": s.rv[1:]}, "rv"),
    "rv in kg": (lambda s: {"rv": s.rv * u.kg}, "rv.*kg"),
    "rv_error negative": (lambda s: {"rv_error": -np.ones(len(s))}, "rv_error"),
    "rv_error text": (lambda s: {"rv_error": ["small"] * len(s)}, "rv_error"),
    "snr negative": (lambda s: {"snr": -s.snr}, "snr"),
    "snr infinite": (lambda s: {"snr": s.snr * np.inf}, "snr"),
    "snr too few": (lambda s: {"snr": s.snr[1:]}, "snr"),
    "kind unknown": (lambda s: {"kind": "galaxy"}, "kind.*galaxy"),
    "kind None": (lambda s: {"kind": None}, "kind"),
    "frame unknown": (lambda s: {"frame": "topocentric"}, "frame"),
    "flux_kind unknown": (lambda s: {"flux_kind": "magnitudes"}, "flux_kind"),
    "domain a path": (lambda s: {"domain": "../miles"}, "domain"),
    "domain empty": (lambda s: {"domain": ""}, "domain"),
    "domain None": (lambda s: {"domain": None, "frame": "?"}, "frame"),
    "labels infinite": (lambda s: {"labels": {"teff": np.full(len(s), np.inf)}}, "labels.teff"),
    "labels text": (lambda s: {"labels": {"teff": ["hot"] * len(s)}}, "labels.teff"),
    "labels too few": (lambda s: {"labels": {"teff": np.ones(2)}}, "labels.teff"),
    "labels complex": (lambda s: {"labels": {"teff": np.ones(len(s)) * 1j}}, "labels.teff"),
    "labels an array": (lambda s: {"labels": np.ones((len(s), 3))}, "labels"),
    "label_errors infinite": (lambda s: {"label_errors": {"teff": np.full(len(s), np.inf)}}, "teff"),
    "native too few": (lambda s: {"native": {"mjd": np.ones(2)}}, "native.mjd"),
    "native objects": (lambda s: {"native": {"mjd": [object()] * len(s)}}, "native.mjd"),
    "flags of another shape": (lambda s: {"flags": np.zeros(3, int)}, "flags"),
    "flags fractions": (lambda s: {"flags": s.flux + 0.123}, "flags"),
    "flags text": (lambda s: {"flags": s.flux.astype(str)}, "flags"),
    "line_spread None": (lambda s: {"line_spread": None}, "line_spread"),
    "line_spread an array": (lambda s: {"line_spread": s.lsf_sigma}, "line_spread"),
    "lsf_sigma zero": (lambda s: {"lsf_sigma": 0 * s.lsf_sigma}, "sigma"),
    "lsf_sigma negative": (lambda s: {"lsf_sigma": -s.lsf_sigma}, "sigma"),
    "lsf_sigma NaN": (lambda s: {"lsf_sigma": np.nan * s.lsf_sigma}, "sigma"),
    "lsf_sigma infinite": (lambda s: {"lsf_sigma": np.inf * s.lsf_sigma}, "sigma"),
    "lsf_sigma of 1e6 Å": (lambda s: {"lsf_sigma": np.full_like(s.lsf_sigma, 1e6)}, "sigma.*wider"),
    "lsf_sigma wider than the spectrum": (lambda s: {"lsf_sigma": 300 * s.lsf_sigma}, "sigma.*wider"),
    "lsf_sigma of another survey": (lambda s: {"lsf_sigma": 3 * s.lsf_sigma}, "FWHM"),
    "lsf_sigma a pixel short": (lambda s: {"lsf_sigma": s.lsf_sigma[:, 1:]}, "sigma"),
    "lsf_sigma one number": (lambda s: {"lsf_sigma": 1.0}, "sigma"),
    "lsf_sigma text": (lambda s: {"lsf_sigma": "narrow"}, "lsf_sigma"),
    "lsf_sigma of two stars": (lambda s: {"lsf_sigma": np.tile(s.lsf_sigma, (2, 1))}, "group"),
    "lsf_group too few": (lambda s: {"lsf_sigma": s.lsf_sigma, "lsf_group": [0]}, "group"),
    "lsf_group not there": (lambda s: {"lsf_group": [7] * len(s)}, "group"),
    "lsf_group negative": (lambda s: {"lsf_group": [-1] * len(s)}, "group"),
    "lsf_group fractions": (lambda s: {"lsf_group": [0.5] * len(s)}, "lsf_group"),
}
"""Spectra that cannot be used, and words of the message."""


@pytest.mark.parametrize("name", RIGHT)
def test_what_can_be_right_is_right(scene, expected, name):
    found = scene.changed(**RIGHT[name](scene.stars))
    np.testing.assert_allclose(found, expected, atol=0.02)


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_right_is_named(scene, refused, name):
    change, words = WRONG[name]
    refused(lambda: scene.changed(**change(scene.stars)), words)


@pytest.mark.parametrize("name", ["flux", "ivar"])
def test_a_masked_pixel_is_a_bad_one(scene, name):
    ivar = scene.stars.ivar.copy()
    ivar[0, 3] = 0.0
    np.testing.assert_allclose(
        scene.changed(**_masked(scene.stars, name)), scene.changed(ivar=ivar), atol=1e-6
    )


def test_a_bad_pixel_may_hold_anything(scene):
    flux, ivar = scene.stars.flux.copy(), scene.stars.ivar.copy()
    flux[0, 3], ivar[0, 3] = np.nan, 0.0
    np.testing.assert_allclose(scene.changed(flux=flux, ivar=ivar), scene.changed(ivar=ivar), atol=1e-6)


def test_errors_that_mark_bad_pixels_are_none(scene):
    flux, ivar = scene.stars.flux.copy(), scene.stars.ivar.copy()
    flux[:, ::3], ivar[:, ::3] = 0.0, 1e-20
    import synth2obs

    found = synth2obs.encode(scene.bridge, replace(scene.stars, flux=flux, ivar=ivar), "miles")
    assert (found.pixels == (ivar > 1e-10).sum(1)).all()


def test_what_is_made_right_is_written_as_it_is(scene, tmp_path):
    from synth2obs.io.shard.read import read_shard
    from synth2obs.io.shard.write import write_shard

    table = replace(scene.stars, **_backwards(scene.stars))
    back = read_shard(write_shard(table, tmp_path / "stars.h5"))
    np.testing.assert_array_equal(back.flux, scene.stars.flux)
    assert isinstance(table, Spectra) and (np.diff(back.wavelength) > 0).all()
