"""Arguments of the public functions that cannot be, or are at the edge of what can be.

Each ends in an error of the package's own that names the argument, or in a result that is right.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

import synth2obs
from synth2obs.core.constants import C_KMS

pytestmark = pytest.mark.slow

SUN = {"teff": 5777.0, "logg": 4.44, "fe_h": 0.0}
TWO = {**SUN, "teff": [5000.0, 6000.0]}


def morph(s, **given):
    return synth2obs.morph(s.bridge, **{"survey": "miles", "labels": SUN, **given})


def fit(s, **given):
    return synth2obs.fit_labels(s.bridge, s.stars.take(np.arange(2)), **{"survey": "miles", **given})


def seen(s, spectra, survey="miles", **given):
    return synth2obs.encode(s.bridge, spectra, survey, **given)


def gap(s, stars, **given):
    return synth2obs.measure_gap(s.bridge, stars, "miles", **given)


def generate(s, **given):
    return synth2obs.generate(s.bridge, **{"survey": "miles", "count": 2, **given})


def latents(s, rows=2, value=0.0):
    return np.full((rows, s.bridge.decoder.latent), value)


LABELS = {
    "complex": {"teff": 5777 + 1j},
    "text": {"teff": "hot"},
    "NaN": {"teff": np.nan},
    "infinite": {"teff": np.inf},
    "minus infinite": {"teff": [5000.0, -np.inf]},
    "None": {"teff": None},
    "objects": {"teff": np.array([5777, None], object)},
    "unknown": {"tef": 5777},
    "of no text": {5: 5777},
    "of other lengths": {"teff": [5000, 6000], "logg": [4.0, 4.1, 4.2]},
    "in rows": {"teff": [[5000.0, 6000.0]]},
    "ragged": {"teff": [[5000.0], [5000.0, 6000.0]]},
    "masked": {"teff": np.ma.masked_array([5000.0, 6000.0], mask=[True, False])},
    "of no star": {"teff": []},
    "a number": 5777.0,
    "words": "teff=5777",
    "a list": [5777.0, 4.44],
    "an array": np.ones((3, 3)),
    "False": False,
}
SPEEDS = (-1.0, np.nan, np.inf, 1e9, 1000.0, "fit", 1j, [1.0, 2.0, 3.0], [[1.0]], None, {}, b"1")
VELOCITIES = (C_KMS, -C_KMS, 1e9, np.nan, np.inf, -np.inf, "fast", 1j, [1.0, 2.0, 3.0], [[1.0]], {}, b"1")
SURVEYS = ("galah", "", None, 5, ["miles"], "MILES", "miles/../stelib", "__class__")
COUNTS = (0, -1, 1.5, "x", None, 1e30, 10**12, float("nan"), [2])
BATCHES = (0, -1, 63, "x", None, 1.5)


@pytest.mark.parametrize("name", LABELS)
def test_labels(scene, refused, name):
    refused(lambda: morph(scene, labels=LABELS[name]), "label")


@pytest.mark.parametrize("value", SPEEDS, ids=str)
@pytest.mark.parametrize("name", ["vsini", "vmac"])
def test_speeds(scene, refused, name, value):
    refused(lambda: morph(scene, labels=TWO, **{name: value}), name)


@pytest.mark.parametrize("value", VELOCITIES, ids=str)
def test_velocities(scene, refused, value):
    refused(lambda: morph(scene, labels=TWO, rv=value), "rv")
    refused(lambda: synth2obs.decode(scene.bridge, latents(scene), "miles", rv=value), "rv")
    refused(lambda: generate(scene, rv=value), "rv")
    refused(lambda: morph(scene, labels=None, spectrum=scene.stars, rv=value), "rv")


@pytest.mark.parametrize("survey", SURVEYS, ids=str)
def test_surveys(scene, refused, survey):
    refused(lambda: morph(scene, survey=survey), "survey")
    refused(lambda: fit(scene, survey=survey), "survey")
    refused(lambda: generate(scene, survey=survey), "survey")
    refused(lambda: synth2obs.measure_gap(scene.bridge, scene.stars, survey), "survey")
    refused(lambda: synth2obs.survey_population(scene.bridge, scene.stars, survey), "survey")
    if survey:
        refused(lambda: morph(scene, labels=None, spectrum=scene.stars, source=survey), "survey")
    if survey is not None:
        refused(lambda: synth2obs.decode(scene.bridge, latents(scene), survey), "survey")


@pytest.mark.parametrize("count", COUNTS, ids=str)
def test_counts(scene, refused, count):
    refused(lambda: generate(scene, count=count), "count|stars")
    if count != 0 and not (isinstance(count, int) and count > 0):
        refused(lambda: generate(scene, seed=count), "seed")
        refused(lambda: synth2obs.survey_population(scene.bridge, scene.stars, "miles", seed=count), "seed")


@pytest.mark.parametrize("batch", BATCHES, ids=str)
def test_batches(scene, refused, batch):
    refused(lambda: synth2obs.morph_batches(scene.bridge, survey="miles", labels=SUN, batch=batch), "batch")


LATENTS = {
    "short": lambda s: latents(s)[:, 1:],
    "NaN": lambda s: latents(s, value=np.nan),
    "infinite": lambda s: latents(s, value=np.inf),
    "text": lambda s: latents(s).astype(str),
    "complex": lambda s: latents(s) + 1j,
    "a cube": lambda s: latents(s)[None],
    "a number": lambda s: 1.0,
    "None": lambda s: None,
    "none": lambda s: latents(s, rows=0),
    "objects": lambda s: [object()],
}


@pytest.mark.parametrize("name", LATENTS)
def test_latents(scene, refused, name):
    refused(lambda: synth2obs.decode(scene.bridge, LATENTS[name](scene)), "latent")
    refused(lambda: synth2obs.decode(scene.bridge, LATENTS[name](scene), "miles"), "latent")


SPECTRA = {
    "None": None,
    "a number": 5,
    "a list of numbers": [1, 2],
    "an empty list": [],
    "an empty tuple": (),
    "a dict": {"flux": [1.0]},
    "an array": np.ones((3, 40)),
    "a tensor": torch.ones(3, 40),
    "no file": "there/is/none.h5",
    "a folder": "/",
    "an empty name": "",
    "no embedded data": "embedded:mars",
    "bytes": b"miles.h5",
    "an iterator": iter(()),
}


@pytest.mark.parametrize("name", SPECTRA)
def test_what_is_no_spectra(scene, refused, name):
    given = SPECTRA[name]
    refused(lambda: seen(scene, given, medium="vacuum"))
    refused(lambda: synth2obs.fit_labels(scene.bridge, given, "miles", medium="vacuum"))
    refused(lambda: gap(scene, given, medium="vacuum"))
    refused(lambda: synth2obs.survey_population(scene.bridge, given, "miles", medium="vacuum"))
    refused(lambda: synth2obs.calibration_report(scene.bridge, given, "miles", "page.html", medium="vacuum"))


FITS = {
    "vsini negative": {"vsini": -1.0},
    "vsini NaN": {"vsini": np.nan},
    "vsini huge": {"vsini": 1e9},
    "vsini a word": {"vsini": "fast"},
    "vsini complex": {"vsini": 1j},
    "vsini of three": {"vsini": [1.0, 2.0, 3.0]},
    "lsf small": {"lsf": 0.1},
    "lsf large": {"lsf": 1e9},
    "lsf negative": {"lsf": -1.0},
    "lsf NaN": {"lsf": np.nan},
    "lsf a word": {"lsf": "wide"},
    "lsf of three": {"lsf": [1.0, 1.0, 1.0]},
    "both fitted": {"vsini": "fit", "lsf": "fit"},
    "vmac negative": {"vmac": -1.0},
    "vmac huge": {"vmac": 1e9},
    "vmac a word": {"vmac": "fit"},
    "vmac of two": {"vmac": [1.0, 2.0]},
    "priors a number": {"priors": 5},
    "priors text": {"priors": "teff"},
    "priors without error": {"priors": {"teff": [5000, 5000]}},
    "priors negative": {"priors": {"teff": [5000, 5000], "teff_error": [-1, 100]}},
    "priors of zero error": {"priors": {"teff": [5000, 5000], "teff_error": [0, 100]}},
    "priors infinite": {"priors": {"teff": [np.inf, 5000], "teff_error": [100, 100]}},
    "priors of words": {"priors": {"teff": ["hot", "cool"], "teff_error": [100, 100]}},
    "priors of three": {"priors": {"teff": [5000] * 3, "teff_error": [100] * 3}},
    "priors unknown": {"priors": {"tef": [5000] * 2, "tef_error": [100] * 2}},
    "priors complex": {"priors": {"teff": [5000j] * 2, "teff_error": [100] * 2}},
}


@pytest.mark.parametrize("name", FITS)
def test_options_of_fits(scene, refused, name):
    refused(lambda: fit(scene, **FITS[name]), name.split()[0] if name != "both fitted" else "vsini|lsf")


OTHERS = {
    "morph of nothing": lambda s, f: morph(s, labels=None),
    "morph of both": lambda s, f: morph(s, spectrum=s.stars),
    "morph of a rotating spectrum": lambda s, f: morph(s, labels=None, spectrum=s.stars, vsini=10.0),
    "morph of a word's rotation": lambda s, f: morph(s, labels=None, spectrum=s.stars, vsini="fast"),
    "morph of no star": lambda s, f: morph(s, labels=None, spectrum=s.stars.take(np.arange(0))),
    "fit of no star": lambda s, f: seen(s, s.stars.take(np.arange(0))),
    "gap of no star": lambda s, f: gap(s, s.stars.take(np.arange(0))),
    "gap of two stars": lambda s, f: gap(s, s.stars.take(np.arange(2))),
    "gap of lists that are not there": lambda s, f: gap(s, s.stars, lines="there/is/none.toml"),
    "gap of lists that are a number": lambda s, f: gap(s, s.stars, lines=5),
    "population of few": lambda s, f: synth2obs.survey_population(s.bridge, s.stars.take([0, 1]), "miles"),
    "lines that are a word": lambda s, f: synth2obs.latent_lines(s.bridge, "all"),
    "lines below none": lambda s, f: synth2obs.latent_lines(s.bridge, -1),
    "lines that are fractions": lambda s, f: synth2obs.latent_lines(s.bridge, 1.5),
    "a velocity at rest": lambda s, f: synth2obs.decode(s.bridge, latents(s), rv=1.0),
    "a report of a word": lambda s, f: synth2obs.calibration_report(
        s.bridge, s.stars, "miles", f / "a.html", trained="maybe"
    ),
    "a report in a file": lambda s, f: synth2obs.calibration_report(
        s.bridge, s.stars, "miles", f / "file" / "a.html", trained="keep"
    ),
    "no bundle": lambda s, f: synth2obs.load_bridge(f / "none"),
    "a bundle that is a file": lambda s, f: synth2obs.load_bridge(f / "file"),
    "a bundle that is a number": lambda s, f: synth2obs.load_bridge(5),
    "a bundle that is None": lambda s, f: synth2obs.load_bridge(None),
    "an empty bundle": lambda s, f: synth2obs.load_bridge(f),
    "no store": lambda s, f: synth2obs.load_bridge("models:/optical/1", store=f / "none"),
    "no shard": lambda s, f: synth2obs.read(f / "none.h5"),
    "a shard that is text": lambda s, f: synth2obs.read(f / "file"),
    "a shard that is a folder": lambda s, f: synth2obs.read(f),
    "a shard that is a number": lambda s, f: synth2obs.read(5),
    "a shard that is None": lambda s, f: synth2obs.read(None),
    "an unknown reader": lambda s, f: synth2obs.ingest("mars", [f / "file"], f / "a.h5"),
    "a reader of no files": lambda s, f: synth2obs.ingest("galah", [], f / "a.h5"),
    "a reader of text": lambda s, f: synth2obs.ingest("galah", [f / "file"], f / "a.h5"),
    "a training of nothing": lambda s, f: synth2obs.train(f / "none.toml", f / "run"),
    "a training of a typo": lambda s, f: synth2obs.train(None, f / "run", ["sed=3"]),
    "a training of a number": lambda s, f: synth2obs.train(5, f / "run"),
    "a medium that is water": lambda s, f: seen(s, [], medium="water"),
}
"""What is wrong in other ways; the folder holds ``file``, which is text."""


@pytest.mark.parametrize("name", OTHERS)
def test_others(scene, refused, tmp_path, name):
    (tmp_path / "file").write_text("text")
    refused(lambda: OTHERS[name](scene, tmp_path))


EXTREMES = {
    "rv 1e-300": {"rv": 1e-300},
    "rv almost light": {"rv": 0.999999 * C_KMS},
    "rv almost light, approaching": {"rv": -0.999999 * C_KMS},
    "rv an array": {"rv": np.array([[10.0]])[0]},
    "vsini 1e-300": {"vsini": 1e-300},
    "vsini fastest": {"vsini": 999.0},
    "vmac fastest": {"vmac": 999.0},
    "teff 1e300": {"labels": {**SUN, "teff": 1e300}},
    "teff -1e300": {"labels": {**SUN, "teff": -1e300}},
    "teff 0": {"labels": {**SUN, "teff": 0.0}},
    "teff 1e-300": {"labels": {**SUN, "teff": 1e-300}},
    "fe_h -1e9": {"labels": {**SUN, "fe_h": -1e9}},
    "no label": {"labels": {}},
    "big-endian": {"labels": {"teff": np.array([5777.0], ">f8")}},
    "a tensor": {"labels": {"teff": torch.tensor([5777.0])}},
    "half precision": {"labels": {"teff": np.float16(5776)}},
    "whole": {"labels": {"teff": 5777}},
    "true": {"labels": {"fe_h": True}},
}


@pytest.mark.parametrize("name", EXTREMES)
def test_extremes_are_answered(scene, name):
    found = morph(scene, **EXTREMES[name])
    assert found.flux.shape == (1, len(found.wavelength)) and not np.isinf(found.flux).any()
    if "teff" in name or "fe_h" in name:
        assert found.flags[0] & 1
    if name.endswith("1e-300") and "teff" not in name:
        np.testing.assert_allclose(found.flux, morph(scene).flux, atol=1e-5)


@pytest.mark.parametrize("rows", [[0], [0, 4], list(range(8))])
def test_stars_without_a_good_pixel_say_nothing_and_spoil_nothing(scene, expected, rows):
    ivar = scene.stars.ivar.copy()
    ivar[rows] = 0.0
    stars = replace(scene.stars, ivar=ivar)
    found, others = seen(scene, stars), np.setdiff1d(np.arange(len(stars)), rows)
    assert (found.pixels[rows] == 0).all()
    np.testing.assert_allclose(found.mean[others], expected[others], atol=5e-3)
    table = synth2obs.fit_labels(scene.bridge, stars, "miles")
    assert (table["flags"][rows] & 4 > 0).all()


def test_a_gap_needs_stars_with_good_pixels(scene, refused):
    ivar = scene.stars.ivar.copy()
    ivar[0] = 0.0
    measured = gap(scene, replace(scene.stars, ivar=ivar))
    assert np.isfinite(measured.rms)
    refused(lambda: gap(scene, replace(scene.stars, ivar=0 * ivar)), "good pixel")
