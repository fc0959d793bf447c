"""Overlays: a file of corrections, what becomes of a line list with them, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
import stand_in

from synth2obs.core.errors import DataError
from synth2obs.core.files import file_sha256
from synth2obs.io.air import air_to_vacuum
from synth2obs.io.shard.read import read_shard
from synth2obs.synthesis import installed
from synth2obs.synthesis.assemble import assemble
from synth2obs.synthesis.build import Build, build_spectra
from synth2obs.synthesis.installed import line_digest, prepare_lines, read_lines
from synth2obs.synthesis.overlaid import overlaid
from synth2obs.synthesis.overlay import (
    LINE,
    MISSING,
    Correction,
    ListedFile,
    Overlay,
    read_overlay,
    write_overlay,
)
from synth2obs.synthesis.pysme import line_table, prepare_table
from synth2obs.synthesis.recipe import read_recipe
from synth2obs.synthesis.settings import LineListConfig, OverlayConfig

TURBO = """'  26.000            '    1         2
'Fe I    LTE'
  5025.000  2.000 -1.000  700.250    5.0  1.00E+08 'd' 'p'   0.0    1.0 'Fe I a b'
  5025.000  2.500 -1.000  700.250    5.0  1.00E+08 'd' 'p'   0.0    1.0 'Fe I another'
'  56.137            '    2         1
'Ba II   LTE'
  5030.123  0.604 -2.000   -7.300    5.0  1.00E+08 'x' 'x'   0.0    1.0
"""
MOOG = """
  5025.000      26.0     2.000    -1.000
  5025.000      26.0     2.500    -1.000
  5030.123   56.1137     0.604    -2.000
"""
TEXTS = {"turbospectrum": TURBO, "moog": MOOG}


def correction(wavelength=5025.0, excitation=2.0, loggf=-1.0, delta=0.25, **changes):
    values = {
        "kind": LINE, "list_number": 0, "species": "Fe 1", "code": 26, "ion": 1, "isotopes": "0",
        "wavelength_air": wavelength, "wavelength_vacuum": float(air_to_vacuum([wavelength])[0]),
        "excitation": excitation, "log_gf": loggf, "delta_log_gf": delta, "delta_log_gf_error": 0.03,
        "probability": 0.97, "none": 0.02, "transition": 4, "group": 2,
    }  # fmt: skip
    return Correction(**{**values, **changes})


BARIUM = {"species": "Ba 2", "code": 56, "ion": 2, "isotopes": "137"}
NAN = float("nan")
ROWS = [
    correction(),
    correction(5030.123, 0.604, -2.0, -0.1, **BARIUM),
    correction(kind=MISSING, list_number=-1, species="Ti", code=0, ion=0, isotopes="", excitation=NAN,
               loggf=NAN, delta=NAN, delta_log_gf_error=NAN),
]  # fmt: skip


@pytest.fixture(params=TEXTS)
def config(request, tmp_path):
    path = tmp_path / "toy.lines"
    path.write_text(TEXTS[request.param])
    return LineListConfig(file=str(path), medium="air", range=(4990.0, 5060.0), format=request.param)


def overlay_of(config, rows=ROWS):
    file = ListedFile(
        file=config.file, sha256=file_sha256(config.file), medium=config.medium, format=config.format
    )
    return Overlay(rows=rows, lists=[file], meta={"survey": "toy", "star": {"teff": 5777.0}})


def with_overlay(config, tmp_path, rows=ROWS, name="overlay.ecsv"):
    path = write_overlay(overlay_of(config, rows), tmp_path / name)
    own = OverlayConfig(file=str(path), sha256=file_sha256(path))
    return config.model_copy(update={"overlay": own})


def test_a_file_says_what_was_written(config, tmp_path):
    overlay = overlay_of(config)
    found = read_overlay(write_overlay(overlay, tmp_path / "overlay.ecsv"))
    assert found.rows[:2] == tuple(overlay.rows[:2])
    for name, value in vars(overlay.rows[2]).items():
        assert getattr(found.rows[2], name) == value or (value != value), name
    assert list(found.lists) == list(overlay.lists) and found.meta == overlay.meta
    again = write_overlay(found, tmp_path / "again.ecsv")
    assert again.read_bytes() == (tmp_path / "overlay.ecsv").read_bytes()


def test_exactly_the_lines_that_are_named_change(config, tmp_path):
    before = read_lines(config)
    after = read_lines(with_overlay(config, tmp_path))
    changed = {
        (species.name, line.excitation): other.loggf - line.loggf
        for species, rows in before.items()
        for line, other in zip(rows, after[species], strict=True)
        if replace(other, loggf=line.loggf) == line
    }
    assert changed == pytest.approx({("Fe 1", 2.0): 0.25, ("Fe 1", 2.5): 0.0, ("Ba 2", 0.604): -0.1})


def test_what_an_engine_is_given_has_the_changes(config, tmp_path):
    changed = with_overlay(config, tmp_path)
    (plain,), (other,) = prepare_lines([config], tmp_path / "a"), prepare_lines([changed], tmp_path / "a")
    rows = [path.read_text().splitlines() for path in (plain, other)]
    different = [n for n, (one, two) in enumerate(zip(*rows, strict=True)) if one != two]
    assert len(different) == 2 and different == [2, 6]
    assert [float(rows[1][n].split()[2]) for n in different] == pytest.approx([-0.75, -2.1])
    table = line_table([read_lines(changed)], {}, "air")
    iron = (table["species"] == "Fe 1") & (table["excit"] == 2.0)
    assert table["gflog"][iron] == pytest.approx(-0.75)


def test_an_overlay_of_zeros_changes_no_bit(config, tmp_path):
    zeros = [replace(row, delta_log_gf=0.0 * row.delta_log_gf) for row in ROWS]
    changed = with_overlay(config, tmp_path, zeros)
    (plain,), (other,) = prepare_lines([config], tmp_path / "a"), prepare_lines([changed], tmp_path / "b")
    assert plain.read_bytes() == other.read_bytes()
    first, second = (prepare_table([each], {}, "air", tmp_path / "c") for each in (config, changed))
    assert first != second
    with np.load(first) as one, np.load(second) as two:
        assert set(one) == set(two)
        for name in one:
            np.testing.assert_array_equal(one[name], two[name])


def test_an_overlay_of_another_list_is_refused(config, tmp_path):
    changed = with_overlay(config, tmp_path)
    path = tmp_path / "toy.lines"
    old = file_sha256(path)
    path.write_text(path.read_text().replace("-2.000", "-2.001"))
    with pytest.raises(DataError, match="belongs to the line list") as error:
        read_lines(changed)
    words = str(error.value)
    assert "overlay.ecsv" in words and old in words and file_sha256(path) in words
    assert "make an overlay for this one" in words


def test_another_overlay_than_the_recipe_names_is_refused(config, tmp_path):
    changed = with_overlay(config, tmp_path)
    write_overlay(overlay_of(config, ROWS[:1]), tmp_path / "overlay.ecsv")
    with pytest.raises(DataError, match=r"overlay\.ecsv: its sha256 is .*, the recipe wants"):
        read_lines(changed)


@pytest.mark.parametrize(
    "text", ["a,b\n1,2\n", "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: a, datatype: int64}\na\n1\n"]
)
def test_what_is_no_overlay_is_refused(tmp_path, text):
    path = tmp_path / "other.ecsv"
    path.write_text(text)
    with pytest.raises(DataError, match=r"other\.ecsv.*(no overlay|cannot be read)"):
        read_overlay(path)


class TestGrid:
    """Grids that are built with an overlay."""

    @pytest.fixture
    def recipe(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv(installed.FOLDER, str(tmp_path / "engines"))
        stand_in.install(tmp_path / "engines")
        (tmp_path / "toy.lines").write_text(TURBO)
        (tmp_path / "recipe.toml").write_text(stand_in.RECIPE)
        return read_recipe(tmp_path / "recipe.toml")

    def overlay(self, recipe, tmp_path, name="overlay.ecsv", **changes):
        rows = [replace(ROWS[0], **changes), *ROWS[1:]]
        return write_overlay(overlay_of(recipe.line_list[0], rows), tmp_path / name)

    def test_physics_is_that_of_the_overlays_content(self, recipe, tmp_path):
        first = overlaid(recipe, self.overlay(recipe, tmp_path))
        same = overlaid(recipe, self.overlay(recipe, tmp_path, "renamed.ecsv"))
        other = overlaid(recipe, self.overlay(recipe, tmp_path, "other.ecsv", delta_log_gf=0.3))
        assert first.physics == same.physics
        assert len({recipe.physics, first.physics, other.physics}) == 3
        digests = {line_digest(each.line_list[0]) for each in (recipe, first, other)}
        assert len(digests) == 3 and line_digest(first.line_list[0]) == line_digest(same.line_list[0])

    def test_a_list_that_the_recipe_lacks_is_refused(self, recipe, tmp_path):
        path = self.overlay(recipe, tmp_path)
        old = file_sha256("toy.lines")
        (tmp_path / "toy.lines").write_text(TURBO.replace("5030.123", "5030.124"))
        with pytest.raises(DataError, match="belongs to the line list") as error:
            overlaid(recipe, path)
        assert old in str(error.value) and file_sha256("toy.lines") in str(error.value)

    def test_spectra_of_another_overlay_are_not_taken(self, recipe, tmp_path):
        def built(settings):
            grid, seen = Build(settings, tmp_path / "toy.h5"), []
            build_spectra(grid, grid.spectra(), 1, lambda done, total: seen.append(done))
            assemble(grid)
            return seen[0], read_shard(grid.out).provenance

        first = overlaid(recipe, self.overlay(recipe, tmp_path))
        already, provenance = built(recipe)
        assert already == 0 and "overlay" not in provenance
        already, provenance = built(first)
        assert already == 0
        assert provenance["overlay"] == {"toy.lines": file_sha256(tmp_path / "overlay.ecsv")}
        assert provenance["recipe"]["line_list"][0]["overlay"]["sha256"] == provenance["overlay"]["toy.lines"]
        assert built(first)[0] == 6
        assert built(overlaid(recipe, self.overlay(recipe, tmp_path, "b.ecsv", delta_log_gf=0.3)))[0] == 0
