"""Laws that every description of an instrument keeps, and what is said about one that cannot be used."""

import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

import synth2obs
from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.errors import ConfigError, DataError
from synth2obs.core.wavelengths import log_grid, pixel_edges
from synth2obs.io.air import vacuum_to_air
from synth2obs.io.instruments.named import named, names
from synth2obs.physics.instrument import Instrument

WANTED = {"4most_lrs", "4most_hrs", "weave_lr", "desi", "sdss5_boss", "gaia_rvs", "gaia_eso_uves580"}
OWN = """
name = "mine"
medium = "vacuum"
unit = "Angstrom"
source = "a manual"

[[segments]]
range = [5000, 5100]
step = 0.5
resolving_power = 3000
"""

every = pytest.mark.parametrize("name", names())


@pytest.fixture
def own(tmp_path):
    """Writes a description with some of its text replaced."""

    def write(old="", new=""):
        assert old in OWN
        path = tmp_path / "mine.toml"
        path.write_text(OWN.replace(old, new), encoding="utf-8")
        return path

    return write


def segments(found):
    """Rows of the pixels of every segment."""
    return [np.nonzero(found.segment == number)[0] for number in np.unique(found.segment)]


def seen_line(found, rows, width):
    """Depth of a line in the middle of a segment, through the instrument, of σ in Å; its equivalent width is 1 Å."""
    centre = found.wavelength[rows[len(rows) // 2]]
    sigma = found.line_spread.sigma[0, rows]
    rest = log_grid(centre * 0.98, centre * 1.02, float((sigma / found.wavelength[rows]).min()) / 2)
    near = rows[np.abs(found.wavelength[rows] / centre - 1) < 0.01]
    depth = np.exp(-0.5 * ((rest - centre) / width) ** 2) / (width * np.sqrt(2 * np.pi))
    spread = found.line_spread.cut(near)
    seer = Instrument(rest, found.wavelength[near], found.segment[near], spread, 0.0 * rest)
    native = seer(torch.from_numpy(depth)[None], torch.zeros(1, dtype=torch.float64))[0].numpy()
    low, high = pixel_edges(found.wavelength[near], found.segment[near])
    return found.wavelength[near], native, high - low


def test_those_that_were_wanted_are_there_and_named_as_their_files():
    assert set(names()) >= WANTED
    assert all(named(name).name == name for name in names())


def test_an_installation_has_them():
    settings = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    assert "data/instruments/*" in settings["tool"]["setuptools"]["package-data"]["synth2obs"]


@every
def test_wavelengths_increase_within_a_segment_and_segments_are_runs(name):
    found = named(name)
    for rows in segments(found):
        assert len(rows) > 1 and (np.diff(rows) == 1).all()
        assert (np.diff(found.wavelength[rows]) > 0).all()


@every
def test_medium_title_and_source_are_stated(name):
    found = named(name)
    assert found.medium in ("air", "vacuum") and found.title and found.source and found.assumed


@every
def test_a_narrow_line_has_the_resolving_power_that_is_stated(name):
    """The second moment of pixels' values counts their own width, as the descriptions do."""
    found = named(name)
    for rows in segments(found):
        intrinsic = 0.6 * float(found.line_spread.sigma[0, rows].max())
        wavelength, depth, width = seen_line(found, rows, intrinsic)
        mean = (depth * width * wavelength).sum() / (depth * width).sum()
        variance = (depth * width * (wavelength - mean) ** 2).sum() / (depth * width).sum()
        stated = np.interp(mean, found.wavelength[rows], found.resolving_power[rows])
        assert mean / (FWHM_PER_SIGMA * np.sqrt(variance - intrinsic**2)) == pytest.approx(stated, rel=0.01)


@every
def test_the_flux_of_a_line_is_conserved(name):
    found = named(name)
    for rows in segments(found):
        _, depth, width = seen_line(found, rows, 2.0 * float(found.line_spread.sigma[0, rows].max()))
        assert (depth * width).sum() == pytest.approx(1.0, rel=1e-3)


@every
def test_lines_are_sampled_or_it_is_said_why_not(name):
    found = named(name)
    fwhm = found.wavelength / found.resolving_power
    fewest = min(float((fwhm[rows] / np.gradient(found.wavelength[rows])).min()) for rows in segments(found))
    assert (fewest < 1.99) == (name == "sdss5_boss")


@pytest.mark.parametrize(
    "name, low, high, power",
    [
        ("4most_lrs", 3700, 9500, (4000, 7800)),
        ("4most_hrs", 3926, 6790, (18500, 21000)),
        ("desi", 3600, 9824, (2000, 5500)),
        ("gaia_rvs", 8460, 8700, (11500, 11500)),
        ("sdss5_boss", 3600, 10400, (1500, 3000)),
        ("apogee", 15144, 16955, (22500, 22500)),
    ],
)
def test_numbers_are_those_of_the_source(name, low, high, power):
    found = named(name)
    ends = found.wavelength.min(), found.wavelength.max()
    assert ends == (pytest.approx(low, abs=1), pytest.approx(high, abs=1.5))
    assert power[0] * 0.995 <= found.resolving_power.min() <= found.resolving_power.max() <= power[1] * 1.005


def test_air_wavelengths_become_vacuum():
    found = named("gaia_eso_hr10")
    np.testing.assert_allclose(vacuum_to_air(found.wavelength[[0, 1]]), [5340.0, 5340.05], atol=1e-6)


def test_the_table_has_a_row_for_each_and_one_shows_itself():
    table = synth2obs.instruments()
    assert list(table["name"]) == list(names()) and {"wavelength", "pixels", "source"} <= set(table.colnames)
    shown = repr(synth2obs.instrument("desi"))
    assert "desi" in shown and "R           2000–5458" in shown and "assumed" in shown


def test_a_description_of_ones_own(own):
    found = synth2obs.instrument(own())
    assert len(found.wavelength) == 201 and found.resolving_power[0] == 3000
    assert synth2obs.instrument(str(own())).name == "mine" and synth2obs.instrument(found) is found


def test_units_and_steps_mean_the_same(own):
    log = named(own("step = 0.5", "log_step = 1e-4"))
    np.testing.assert_allclose(np.diff(np.log(log.wavelength)), 1e-4, rtol=1e-9)
    ten = named(own("step = 0.5", f"log10_step = {1e-4 / np.log(10):.15g}"))
    np.testing.assert_allclose(ten.wavelength, log.wavelength, rtol=1e-12)
    path = own("[5000, 5100]\nstep = 0.5", "[500, 510]\nstep = 0.05")
    path.write_text(path.read_text(encoding="utf-8").replace("Angstrom", "nm"), encoding="utf-8")
    nm, plain = named(path), named(own())
    np.testing.assert_allclose(nm.wavelength, plain.wavelength, rtol=1e-12)
    np.testing.assert_allclose(nm.line_spread.sigma, plain.line_spread.sigma, rtol=1e-12)


def test_widths_may_be_given_in_other_ways(own):
    width = named(own("resolving_power = 3000", "fwhm = 1.7"))
    assert width.resolving_power[0] == pytest.approx(5000 / 1.7)
    table = named(own("= 3000", "= [[5000, 2000], [5100, 3000]]"))
    np.testing.assert_allclose(table.resolving_power[[0, 100, 200]], [2000, 2500, 3000])
    apart = named(own('source = "a manual"', 'source = "a manual"\npixels_included = false'))
    assert (apart.line_spread.sigma > named(own()).line_spread.sigma).all()


@pytest.mark.parametrize(
    "old, new, words",
    [
        ('"Angstrom"', '"parsec"', ["unit", "Angstrom"]),
        ('"Angstrom"', '"um"', ["segment 0", "is um the unit?"]),
        ("[5000, 5100]", "[5100, 5000]", ["segments.0", "range must increase", "5100"]),
        ("= 3000", "= 0", ["segments.0.resolving_power", "positive"]),
        ("= 3000", "= -5", ["segments.0.resolving_power", "positive"]),
        ("= 3000", "= nan", ["segments.0.resolving_power", "positive"]),
        ("= 3000", "= [[5100, 3000], [5000, 2000]]", ["segments.0.resolving_power", "increase"]),
        ("= 3000", "= 20000", ["pixels per FWHM", "undersampled"]),
        ("resolving_power = 3000", "", ["resolving_power, fwhm", "none"]),
        ("step = 0.5", "step = 0.5\nlog_step = 1e-4", ["step, log_step", "give one of"]),
        ("step = 0.5", "step = -0.5", ["segments.0.step"]),
        ("step = 0.5", "step = 500", ["pixels between"]),
        ("step = 0.5", "stepp = 0.5", ["unknown 'stepp'", "did you mean 'step'?"]),
        ("medium", "nedium", ["unknown 'nedium'", "medium: missing"]),
        ('"a manual"', '""', ["source"]),
        ('"mine"', '"a/b"', ["name"]),
        ('source = "a manual"', 'source = "a manual"\nlimits = [100, 200]', ["R = 3000", "100 to 200"]),
        ("[[segments]]", "[[segments", ["not valid TOML"]),
    ],
)
def test_what_is_wrong_is_named_with_the_file(own, old, new, words):
    path = own(old, new)
    with pytest.raises(ConfigError) as refused:
        named(path)
    assert all(word in str(refused.value) for word in [str(path), *words]), refused.value


def test_segments_in_another_order_are_refused(own):
    path = own()
    text = path.read_text(encoding="utf-8")
    path.write_text(text + text[text.index("[[") :].replace("[5000, 5100]", "[4000, 4100]"), encoding="utf-8")
    with pytest.raises(ConfigError, match="segments must begin at increasing wavelengths"):
        named(path)


@pytest.mark.parametrize("given", ["4most_lr", "", 3, None, ["desi"]])
def test_an_unknown_name_is_refused_with_those_there_are(given):
    with pytest.raises(DataError, match="no instrument named .*4most_lrs"):
        named(given)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="mine.toml"):
        named(tmp_path / "mine.toml")
