"""Line lists: formats, species, what is taken of them, and what is refused."""

import gzip

import numpy as np
import pytest

from synth2obs.core.errors import ConfigError, DataError
from synth2obs.io.air import vacuum_to_air
from synth2obs.synthesis.hydrogen import hydrogen_lines
from synth2obs.synthesis.line_lists import Line, Species, moog_species, one_medium, read_moog, strength
from synth2obs.synthesis.pysme import line_table, prepare_table
from synth2obs.synthesis.settings import LineListConfig
from synth2obs.synthesis.turbospectrum_lines import cut_turbospectrum, read_turbospectrum, write_turbospectrum

MOOG = """
  5001.100      26.0     2.000    -1.000
  5002.200      26.1     3.000    -2.000
  5003.300   56.1137     0.700    -0.300
  5004.400 607.01214     0.500    -2.500
  5005.500       1.0    10.200    -0.100
  5300.000      26.0     0.000     1.000
"""
DAMPING = """
  5001.105      26.0    -7.550     0.50   2.00E+08
  5002.900      26.1    -7.900
"""
TURBO = """'  26.000            '    1         2
'Fe I    LTE'
  5001.100  2.000 -1.000  700.250    5.0  1.00E+08 'd' 'p'   0.0    1.0 'Fe I a b'
  5300.000  2.000 -1.000   -7.300    5.0  1.00E+08 'd' 'p'   0.0    1.0 'Fe I a b'
' 607.012014         '    1         1
'CN'
  5004.400  0.500 -2.500    0.000    5.0  0.00E+00 'x' 'x'   0.0    1.0
' 822.048000         '    1         1
'TiO'
  5200.000  0.500 -2.500    0.000    5.0  0.00E+00 'x' 'x'   0.0    1.0
"""


def config(**changes):
    return LineListConfig(**{"file": "x", "medium": "air", "range": (5000.0, 5100.0), **changes})


@pytest.fixture
def write(tmp_path):
    def put(text, name="lines"):
        path = tmp_path / name
        raw = text.encode()
        path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return path

    return put


@pytest.mark.parametrize(
    "code, species, name",
    [
        ("26", Species(26, 1, (0,)), "Fe 1"),
        ("26.1", Species(26, 2, (0,)), "Fe 2"),
        ("56.1137", Species(56, 2, (137,)), "Ba 2"),
        ("607.01214", Species(607, 1, (12, 14)), "CN"),
        ("106.00112", Species(106, 1, (1, 12)), "CH"),
        ("112.0", Species(112, 1, (0, 0)), "MgH"),
    ],
)
def test_codes_of_moog(code, species, name):
    assert moog_species(code) == species and species.name == name


def test_unknown_molecule_is_named():
    with pytest.raises(DataError, match="unknown molecule '10108.0'"):
        moog_species("10108.0")


@pytest.mark.parametrize("name", ["lines", "lines.gz"])
def test_moog_reads_its_range_only(write, name):
    lines = read_moog(write(MOOG, name), config(), None)
    assert [species.name for species in lines] == ["Fe 1", "Fe 2", "Ba 2", "CN", "H 1"]
    assert lines[Species(26, 1, (0,))] == [Line(5001.1, 2.0, -1.0, 1.4)]


def test_damping_is_taken_where_it_is_known(write):
    lines = read_moog(write(MOOG), config(), write(DAMPING, "damping"))
    first, second, barium, cyanogen, _ = (members[0] for members in lines.values())
    assert (first.damping, first.radiation) == (-7.55, 2.0e8)
    # The entry is 0.7 Å away: another line.
    assert (second.damping, second.radiation) == (2.5, 0.0)
    assert barium.damping == 3.0 and cyanogen.damping == 0.0


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"species": ("Fe",)}, ["Fe 1", "Fe 2"]),
        ({"species": ("CN",)}, ["CN"]),
        ({"range": (5000.0, 5400.0), "species": ("Fe",), "faintest": -4.0}, ["Fe 1"]),
    ],
)
def test_species_and_the_faintest(write, changes, expected):
    assert [species.name for species in read_moog(write(MOOG), config(**changes), None)] == expected


def test_strength_counts_how_rare_an_element_is():
    line = Line(5000.0, 1.0, -1.0, 0.0)
    iron, barium, molecule = (strength(Species(code, 1, (0,)), line) for code in (26, 56, 607))
    assert iron == pytest.approx(-1.0 - 5040.0 / 4500.0) == molecule
    assert barium == pytest.approx(iron + 2.17 - 7.45)


@pytest.mark.parametrize("row", ["5001.1 26.0", "5001.1 26.0 x -1.0", "a b c d"])
def test_wrong_row_of_moog_is_shown(write, row):
    with pytest.raises(DataError, match=f"lines: row 1 is no line of MOOG's format: '{row}'"):
        read_moog(write(row), config(), None)


def test_turbospectrum_is_read_as_it_is_written(write, tmp_path):
    lines = read_moog(write(MOOG), config(), write(DAMPING, "damping"))
    write_turbospectrum(lines, tmp_path / "turbo")
    del lines[Species(1, 1, (0,))]
    assert read_turbospectrum(tmp_path / "turbo", config()) == lines


def test_turbospectrum_is_cut_and_its_rows_stay(write, tmp_path):
    cut_turbospectrum(write(TURBO), tmp_path / "cut", config())
    text = (tmp_path / "cut").read_text()
    assert "5300" not in text and "TiO" not in text
    assert text.splitlines()[0].split() == ["'", "26.000", "'", "1", "1"]
    assert TURBO.splitlines()[2] in text
    assert read_turbospectrum(tmp_path / "cut", config()) == read_turbospectrum(write(TURBO), config())


def test_nothing_left_is_an_empty_file(write, tmp_path):
    cut_turbospectrum(write(TURBO), tmp_path / "cut", config(range=(2000.0, 3000.0)))
    assert (tmp_path / "cut").read_text() == ""


@pytest.mark.parametrize(
    "text, words",
    [
        ("5000.0 1 2 3\n", "row 1 begins no species"),
        (TURBO.replace("-1.000  700", "x  700"), "row 3 is no line of Turbospectrum's format"),
        ("\n".join(TURBO.splitlines()[:3]), "ends before the 2 lines"),
    ],
)
def test_wrong_turbospectrum_is_shown(write, text, words):
    with pytest.raises(DataError, match=words):
        read_turbospectrum(write(text), config())


def test_lists_and_bands_of_another_medium_are_refused():
    with pytest.raises(ConfigError, match="line list x: medium is vacuum, and this engine computes in air"):
        one_medium([config(medium="vacuum")], "air", "air")
    with pytest.raises(ConfigError, match=r"spectrum\.bands: medium is vacuum"):
        one_medium([config()], "vacuum", "air")
    one_medium([config(medium="vacuum")], "vacuum", "vacuum")


@pytest.mark.parametrize(
    "shells, air, loggf",
    [
        ((2, 3), 6562.797, 0.710),
        ((2, 4), 4861.323, -0.020),
        ((2, 6), 4101.734, -0.753),
        ((3, 5), 12818.077, 0.433),
    ],
)
def test_hydrogen(shells, air, loggf):
    (line,) = [line for line in hydrogen_lines() if (line.lower, line.upper) == shells]
    assert vacuum_to_air([line.wavelength])[0] == pytest.approx(air, abs=0.006)
    assert line.loggf == pytest.approx(loggf, abs=1e-3)


def test_table_of_pysme(write):
    moog = read_moog(write(MOOG), config(), write(DAMPING, "damping"))
    table = line_table([moog, read_turbospectrum(write(TURBO), config())], {}, "air")
    assert (np.diff(table["wlcent"]) >= 0.0).all()
    inside = (table["wlcent"] > 5000.0) & (table["wlcent"] < 5100.0)
    rows = {name: column[inside] for name, column in table.items()}
    assert list(rows["species"]) == ["Fe 1", "Fe 1", "Fe 2", "Ba 2", "CN 1", "CN 1"]
    np.testing.assert_allclose(rows["gamvw"], [-7.55, 700.25, 0.0, 0.0, -20.0, -20.0])
    np.testing.assert_allclose(rows["unsold"], [0.0, 0.0, 2.5, 3.0, 0.0, 0.0])
    np.testing.assert_allclose(rows["gflog"][3], -0.3 + np.log10(0.1123))
    balmer = table["wlcent"][table["species"] == "H 1"]
    assert np.abs(balmer - 6562.797).min() < 0.006


def test_table_is_made_once(write, tmp_path):
    lists = [config(file=str(write(MOOG)), format="moog")]
    first = prepare_table(lists, {}, "air", tmp_path / "cache")
    before = first.stat().st_mtime_ns
    assert prepare_table(lists, {}, "air", tmp_path / "cache") == first
    assert first.stat().st_mtime_ns == before
    assert prepare_table(lists, {"Ba": {137: 0.2}}, "air", tmp_path / "cache") != first
