"""The command line where a model is needed: the same numbers as the Python functions, in files."""

from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from typer.testing import CliRunner

import synth2obs
from synth2obs.analysis.remeasure import GapMeasurement, line_table
from synth2obs.cli import app
from synth2obs.core.files import file_sha256
from synth2obs.io.shard.write import write_shard
from synth2obs.io.tables import write_table
from synth2obs.synthesis.overlay import read_overlay
from synth2obs.synthesis.settings import LineListConfig

INSTRUMENT = """
name = "mine"
medium = "vacuum"
unit = "nm"
source = "a manual"

[[segments]]
range = [495, 545]
step = 0.1
resolving_power = 900
"""


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def done(*arguments):
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result


def refused(*arguments, words):
    result = run(*arguments)
    assert result.exit_code == 2 and "Traceback" not in result.stderr, result.output
    assert all(word in result.stderr for word in words), result.stderr


@pytest.fixture(scope="module")
def shard(bridge, labels_of, stars_of, tmp_path_factory):
    flux = bridge.predict(labels_of(9, seed=31, share=0.7), "far")
    return write_shard(stars_of("far", flux, snr=200), tmp_path_factory.mktemp("shard") / "far.h5")


@pytest.mark.parametrize("suffix", [".ecsv", ".csv", ".fits"])
def test_morph_writes_what_python_gives(bridge, bundle, tmp_path, suffix):
    out = tmp_path / f"sun{suffix}"
    done("morph", bundle, "-s", "far", "-l", "teff=5777", "-l", "logg=4.44", "--rv", "12.5", "-o", out)
    table = Table.read(out)
    expected = synth2obs.morph(bridge, labels={"teff": 5777, "logg": 4.44}, survey="far", rv=12.5)
    np.testing.assert_allclose(table["wavelength"], expected.wavelength)
    for name in ("flux", "flux_theory", "gap", "gap_error"):
        column = np.ma.filled(np.ma.asarray(table[name], float), np.nan)
        np.testing.assert_allclose(column, getattr(expected, name)[0], atol=1e-6)


@pytest.mark.parametrize("survey", ["", "far"])
@pytest.mark.parametrize("suffix", [".ecsv", ".h5"])
def test_morph_through_an_instrument_writes_what_python_gives(bridge, bundle, tmp_path, survey, suffix):
    from synth2obs.io.blocks import read_block

    own, out = tmp_path / "mine.toml", tmp_path / f"sun{suffix}"
    own.write_text(INSTRUMENT, encoding="utf-8")
    options = ["-s", survey] if survey else []
    done("morph", bundle, "--instrument", own, *options, "-l", "teff=5777", "-o", out)
    expected = synth2obs.morph(bridge, labels={"teff": 5777}, instrument=own, survey=survey)
    found = Table.read(out) if suffix == ".ecsv" else read_block(out)
    flux = np.ma.filled(np.ma.asarray(found["flux"], float), np.nan).reshape(1, -1)
    np.testing.assert_allclose(flux, expected.flux, atol=1e-6)
    assert np.isfinite(flux).any() and (suffix != ".ecsv" or found.meta["instrument"] == "mine")


@pytest.mark.parametrize(
    "options, words",
    [
        ([], ["on whose pixels?"]),
        (["--instrument", "desy"], ["no instrument named 'desy'", "did you mean 'desi'?"]),
        (["--instrument", "gaia_rvs"], ["gaia_rvs covers 8460–8700 Å", "5000–5400"]),
        (["--instrument", "none.toml"], ["none.toml"]),
    ],
)
def test_an_instrument_that_cannot_be_used_is_refused(bundle, tmp_path, options, words):
    refused("morph", bundle, *options, "-l", "teff=5777", "-o", tmp_path / "a.csv", words=words)
    assert not list(tmp_path.iterdir())


def test_a_folder_may_be_called_as_an_instrument(bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("sdss5_boss").mkdir()
    out = "sdss5_boss/a.ecsv"
    done("morph", bundle, "--instrument", "sdss5_boss", "-l", "teff=5777", "-o", out)
    assert Path(out).is_file()


def test_a_description_is_not_written_over(bundle, tmp_path):
    own = tmp_path / "mine.toml"
    own.write_text(INSTRUMENT, encoding="utf-8")
    refused("morph", bundle, "--instrument", own, "-l", "teff=5777", "-o", own, words=["mine.toml"])
    assert own.read_text(encoding="utf-8") == INSTRUMENT


def test_morph_takes_several_stars_at_once_and_names_those_outside(bundle, tmp_path):
    out = tmp_path / "three.ecsv"
    result = done("morph", bundle, "-s", "near", "-l", "teff=5000,6000,7500", "-l", "fe_h=-0.5", "-o", out)
    table = Table.read(out)
    assert {"flux_0", "flux_1", "flux_2"} <= set(table.colnames)
    assert "star 2: outside the grid in teff" in result.stderr and "star 0" not in result.stderr


def test_morph_of_many_stars_is_written_as_they_are_made(bridge, bundle, tmp_path):
    from synth2obs.io.blocks import read_block

    stars, out = tmp_path / "stars.ecsv", tmp_path / "many.h5"
    labels = {"teff": np.linspace(4600, 9000, 100), "logg": np.full(100, 4.0)}
    Table(labels).write(stars)
    result = done("morph", bundle, "-s", "far", "--stars", stars, "-o", out)
    found, expected = read_block(out), synth2obs.morph(bridge, labels=labels, survey="far")
    for name in ("wavelength", "flux", "flux_theory", "gap", "gap_error", "flags", "distance"):
        np.testing.assert_array_equal(found[name], getattr(expected, name), err_msg=name)
    assert "emulator_error" not in found and "100 spectra" in result.stdout
    assert "further stars outside the grid" in result.stderr


def test_a_table_has_no_room_for_too_many_stars(bundle, tmp_path):
    Table({"teff": np.full(2100, 5000.0)}).write(tmp_path / "stars.ecsv")
    words = "2100 stars", "2048", "end the name with .h5"
    refused(
        "morph",
        bundle,
        "-s",
        "far",
        "--stars",
        tmp_path / "stars.ecsv",
        "-o",
        tmp_path / "a.ecsv",
        words=words,
    )
    words = ("labels are given twice",)
    given = ("--stars", tmp_path / "stars.ecsv", "-l", "teff=5000")
    refused("morph", bundle, "-s", "far", *given, "-o", tmp_path / "a.ecsv", words=words)


def test_the_folder_of_a_run_stands_for_its_bundle(bundle, tmp_path):
    done("morph", Path(bundle).parent, "-s", "near", "-l", "teff=5777", "-o", tmp_path / "sun.csv")


def test_morph_of_a_shard_writes_every_star(bundle, shard, tmp_path):
    out = tmp_path / "near.ecsv"
    done("morph", bundle, "-s", "near", "--spectrum", shard, "--source", "far", "-o", out)
    assert "flux_8" in Table.read(out).colnames


@pytest.mark.parametrize(
    "labels, words",
    [
        (["teff"], ["--label", "'teff'", "name=number"]),
        (["teff=hot"], ["'teff=hot'"]),
        (["teff=5000", "teff=6000"], ["'teff' is given twice"]),
        (["tef=5000"], ["unknown label 'tef'", "teff, logg"]),
        (["teff=nan"], ["'teff' in K must be finite"]),
        (["teff=5000,6000", "logg=1,2,3"], ["teff 2, logg 3"]),
        ([], ["nothing to morph"]),
    ],
)
def test_labels_that_cannot_be_used_are_refused(bundle, tmp_path, labels, words):
    options = [text for label in labels for text in ("-l", label)]
    refused("morph", bundle, "-s", "near", *options, "-o", tmp_path / "a.csv", words=words)
    assert not list(tmp_path.iterdir())


def test_an_unknown_survey_is_refused_with_the_known_ones(bundle, shard, tmp_path):
    out = tmp_path / "a.csv"
    words = ["'mine'", "near, far"]
    refused("morph", bundle, "-s", "mine", "-l", "teff=5777", "-o", out, words=words)
    refused("fit", bundle, shard, "-s", "mine", "-o", out, words=words)
    refused("gap", bundle, shard, "-s", "mine", "-o", out, words=words)


def test_a_truncated_shard_is_refused(bundle, shard, tmp_path):
    broken = tmp_path / "broken.h5"
    broken.write_bytes(shard.read_bytes()[:-500])
    for command in ("fit", "gap"):
        refused(
            command, bundle, broken, "-s", "far", "-o", tmp_path / "a.csv", words=["broken.h5", "truncated"]
        )


def test_fit_writes_what_python_gives(bridge, bundle, shard, tmp_path):
    out = tmp_path / "labels.ecsv"
    result = done("fit", bundle, shard, "-s", "far", "--no-population", "-o", out)
    table, expected = (
        Table.read(out),
        synth2obs.fit_labels(bridge, str(shard), "far", population=False),
    )
    assert table.colnames == expected.colnames and table["teff"].unit == "K"
    np.testing.assert_allclose(table["teff"], expected["teff"], rtol=1e-5)
    assert f"{out}: 9 stars" in result.stdout


def test_gap_writes_what_python_gives(bridge, bundle, shard, tmp_path):
    out = tmp_path / "gap.ecsv"
    result = done("gap", bundle, shard, "-s", "far", "-o", out)
    expected = synth2obs.measure_gap(bridge, str(shard), "far")
    np.testing.assert_allclose(np.ma.filled(Table.read(out)["gap"], np.nan), expected.gap, atol=1e-5)
    assert "9 stars" in result.stdout and result.stdout.count(" Å ") == len(expected.lines)


@pytest.mark.parametrize("suffix", [".ecsv", ".csv", ".fits"])
def test_gap_writes_the_lines_beside_the_spectrum(bridge, bundle, labels_of, stars_of, tmp_path, suffix):
    flux = bridge.predict(labels_of(30, seed=21, share=0.7), "near")
    wavelength = bridge.survey("near").wavelength.numpy()
    missing = 0.05 * np.exp(-0.5 * ((wavelength - 5171) / 2.5) ** 2)
    shard = write_shard(stars_of("near", flux - missing, snr=200), tmp_path / "near.h5")
    result = done("gap", bundle, shard, "-s", "near", "-o", tmp_path / f"gap{suffix}")
    lines = Table.read(tmp_path / f"gap-lines{suffix}")
    assert len(lines) >= 1 and f"gap-lines{suffix}: {len(lines)} lines" in result.stdout
    strongest = lines[np.argmax(lines["significance"])]
    assert strongest["wavelength"] == pytest.approx(5171, abs=1.5)
    assert strongest["depth"] == pytest.approx(0.05, rel=0.3)
    assert strongest["element"] in ("Mg", "Fe") and 0 <= strongest["unexplained"] <= 1
    if suffix == ".ecsv":
        assert (str(lines["wavelength"].unit), str(lines["equivalent_width"].unit)) == (
            "Angstrom",
            "mAngstrom",
        )


MOOG = """
  5160.000      26.0     2.000    -1.000
  5169.560      26.0     3.000    -2.000
  5169.600      12.0     2.700    -1.000
"""


@pytest.fixture
def near(bridge, labels_of, stars_of, tmp_path):
    """Stars with a line at 5171 Å in vacuum that theory lacks."""
    flux = bridge.predict(labels_of(30, seed=21, share=0.7), "near")
    wavelength = bridge.survey("near").wavelength.numpy()
    missing = 0.05 * np.exp(-0.5 * ((wavelength - 5171) / 2.5) ** 2)
    return write_shard(stars_of("near", flux - missing, snr=200), tmp_path / "near.h5")


def test_gap_writes_an_overlay_of_a_line_list(bridge, bundle, near, tmp_path):
    lines, out = tmp_path / "toy.moog", tmp_path / "overlay.ecsv"
    lines.write_text(MOOG)
    options = ("--lines", lines, "--lines-format", "moog", "--lines-medium", "air", "--overlay", out)
    result = done("gap", bundle, near, "-s", "near", "-o", tmp_path / "gap.ecsv", *options)
    overlay = read_overlay(out)
    assert [each.sha256 for each in overlay.lists] == [file_sha256(lines)]
    assert overlay.meta["survey"] == "near" and set(overlay.meta["star"]) == set(bridge.labels.names)
    assert overlay.rows and all(4990 < row.wavelength_air < 5400 for row in overlay.rows)
    assert f"{out}: log gf of " in result.stdout
    config = LineListConfig(file=str(lines), format="moog", medium="air", range=(2000.0, 1e6))
    found = synth2obs.measure_gap(bridge, str(near), "near", lines=[config]).overlay
    assert [row.species for row in found.rows] == [row.species for row in overlay.rows]


def test_an_overlay_needs_a_line_list_and_its_medium(bundle, near, tmp_path):
    start = ("gap", bundle, near, "-s", "near", "-o", tmp_path / "gap.ecsv")
    overlay = ("--overlay", tmp_path / "overlay.ecsv")
    refused(*start, *overlay, words=["an overlay is of a line list", "--lines"])
    (tmp_path / "toy.moog").write_text(MOOG)
    refused(
        *start, *overlay, "--lines", tmp_path / "toy.moog", words=["toy.moog", "--lines-medium air or vacuum"]
    )
    (tmp_path / "recipe.toml").write_text("[grid]\n")
    refused(*start, "--lines", tmp_path / "recipe.toml", words=["recipe.toml"])
    table = ("--lines", tmp_path / "recipe.toml", "--overlay", tmp_path / "overlay.csv")
    refused(*start, *table, words=["overlay.csv", ".ecsv"])
    assert not (tmp_path / "gap.ecsv").exists()


@pytest.mark.parametrize("suffix", [".ecsv", ".csv", ".fits"])
def test_a_gap_without_lines_has_an_empty_list(tmp_path, suffix):
    nothing = np.full(3, np.nan)
    table = line_table(GapMeasurement(np.arange(3.0), nothing, nothing, [], 0.0, 0.0, 8))
    found = Table.read(write_table(table, tmp_path / f"lines{suffix}"))
    assert len(found) == 0 and found.colnames[:2] == ["wavelength", "depth"]


def test_gap_refuses_a_place_that_its_lines_cannot_have(bundle, shard, tmp_path):
    (tmp_path / "gap-lines.ecsv").mkdir()
    refused(
        "gap", bundle, shard, "-s", "far", "-o", tmp_path / "gap.ecsv", words=["gap-lines.ecsv", "folder"]
    )


def test_a_damaged_model_is_refused(bundle, tmp_path):
    (tmp_path / "bridge").mkdir()
    weights = (Path(bundle) / "bridge.safetensors").read_bytes()
    (tmp_path / "bridge" / "bridge.safetensors").write_bytes(weights[: len(weights) // 2])
    out = tmp_path / "a.csv"
    refused("morph", tmp_path, "-s", "near", "-l", "teff=5777", "-o", out, words=["bridge.safetensors"])
