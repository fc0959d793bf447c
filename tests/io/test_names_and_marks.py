"""Names of files and columns, byte order marks, and marks of the unknown, in the tables and files of surveys."""

import gzip

import h5py
import numpy as np
import own_grid_files as files
import pytest
from astropy.io import fits

from synth2obs.core.errors import DataError
from synth2obs.io.anchors import read_anchors
from synth2obs.io.own_grids.join import join_grids
from synth2obs.io.shard.check import check_shard
from synth2obs.io.shard.read import read_shard
from synth2obs.io.surveys import read_survey
from synth2obs.io.surveys.matches import read_twins

MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize("layout", ["galah dr3", "galah 6.0", "stelib", "miles", "lrs image", "eso phase 3"])
def test_gzipped_files_have_the_same_names(native, tmp_path, layout):
    survey, paths, options = native.LAYOUTS[layout](tmp_path)
    expected = read_survey(survey, paths, **options)
    packed = [path.with_name(path.name + ".gz") for path in paths]
    for path, other in zip(paths, packed, strict=True):
        other.write_bytes(gzip.compress(path.read_bytes(), 1))
        path.unlink()
    found = read_survey(survey, packed, **options)
    assert found.id.tolist() == expected.id.tolist()
    np.testing.assert_array_equal(found.flux, expected.flux)


class TestTwins:
    @pytest.mark.parametrize(
        "content",
        [
            MARK + b"miles,stelib\nM1,H1\n",
            "miles,stelib\nM1,H1\n".encode("utf-16"),
            b"# ours\nmiles , stelib\nM1, H1\n",
            b"miles;stelib\r\nM1;H1\r\n",
            gzip.compress(b"star,miles,stelib\nx,M1,H1\n", mtime=0),
        ],
    )
    def test_however_it_is_written(self, tmp_path, content):
        (tmp_path / "a.csv").write_bytes(content)
        assert read_twins(tmp_path / "a.csv", ["miles", "stelib"]) == {
            "miles": {"M1": "M1"},
            "stelib": {"H1": "M1"},
        }

    @pytest.mark.parametrize("name", ["MILES", "mile", "milles", "Miles_", "miles "])
    def test_a_misspelt_column_is_an_error(self, tmp_path, name):
        (tmp_path / "a.csv").write_text(f"{name},stelib\nM1,H1\n")
        if name.strip() == "miles":
            assert set(read_twins(tmp_path / "a.csv", ["miles", "stelib"])) == {"miles", "stelib"}
            return
        with pytest.raises(DataError, match=f"a.csv: {name}: column '{name}' is of no survey; write 'miles'"):
            read_twins(tmp_path / "a.csv", ["miles", "stelib"])

    def test_other_surveys_and_columns_are_none_of_its_business(self, tmp_path):
        (tmp_path / "a.csv").write_text("star,note,lamost_lrs,mine_2,stelib\nx,y,L1,N1,H1\n")
        assert set(read_twins(tmp_path / "a.csv", ["lamost_mrs", "mine_1", "stelib"])) == {"stelib"}

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("miles,miles\nA,B\n", "stands twice"),
            ("miles,stelib\nA\n", "row 1 has 1 cells"),
            ("", "has a column for none"),
        ],
    )
    def test_what_is_no_table(self, tmp_path, text, words):
        (tmp_path / "a.csv").write_text(text)
        with pytest.raises(DataError, match=words):
            read_twins(tmp_path / "a.csv", ["miles", "stelib"])


def test_marks_in_tables_of_labels(native, tmp_path):
    path = native.own_table(tmp_path / "HD 1.csv")
    (tmp_path / "m.toml").write_text(native.DESCRIPTION)
    (tmp_path / "labels.csv").write_bytes(MARK + b"# ours\nid,teff,fe_h\nHD 1,9999,-0.5\n")
    spectra = read_survey(str(tmp_path / "m.toml"), [path], parameters=tmp_path / "labels.csv")
    assert np.isnan(spectra.labels["teff"][0]) and spectra.labels["fe_h"][0] == -0.5


def test_marks_in_anchors(tmp_path):
    rows = b"survey,id,teff,teff_error,logg,logg_error,fe_h,fe_h_error\nmiles,0017,5772,1,4.4,0.1,0,0.1\n"
    (tmp_path / "a.csv").write_bytes(MARK + b"# the Sun\n" + rows)
    assert read_anchors(tmp_path / "a.csv", "miles").id.tolist() == ["0017"]


def test_marks_in_own_grids(tmp_path):
    description = files.csv_folder(tmp_path)
    expected = read_shard(join_grids([description], tmp_path / "a.h5"))
    for path in [description, *tmp_path.rglob("*.csv")]:
        path.write_bytes(MARK + path.read_bytes())
    found = read_shard(join_grids([description], tmp_path / "b.h5"))
    np.testing.assert_array_equal(found.flux, expected.flux)


def test_marks_in_the_parameters_of_miles(native, tmp_path):
    survey, paths, options = native.LAYOUTS["miles"](tmp_path)
    (tmp_path / "p.db").write_bytes(MARK + b"18 5000 4.0 0.1\n")
    spectra = read_survey(survey, paths, parameters=tmp_path / "p.db", **options)
    assert spectra.labels["teff"].tolist() == [5000.0]


@pytest.mark.parametrize(
    ("layout", "card"), [("apvisit", "VHELIO"), ("stelib", "TEFF"), ("galah 6.0", "RVCOM")]
)
def test_marks_of_the_unknown_in_headers(native, tmp_path, layout, card):
    survey, paths, options = native.LAYOUTS[layout](tmp_path)
    for path in paths:
        fits.setval(path, card, value=-9999.0)
    spectra = read_survey(survey, paths, **options)
    assert not (np.abs(spectra.rv) > 5000).any()
    assert not any((np.abs(np.nan_to_num(values)) == 9999).any() for values in spectra.labels.values())


def test_rows_of_lamost_in_cards_of_their_own(native, tmp_path):
    path = native.lamost_pilot(tmp_path / "a.fits")
    expected = read_survey("lamost_lrs", [path])
    with fits.open(path, mode="update") as hdus:
        names = hdus[0].header.pop("EXTEN0").split()
        hdus[0].header.update({f"ARRAY{number}": name for number, name in enumerate(names, 1)})
    np.testing.assert_array_equal(read_survey("lamost_lrs", [path]).flux, expected.flux)


@pytest.mark.parametrize("value", [5000.0, 1e6])
def test_a_line_spread_wider_than_the_spectrum(shard, value):
    with h5py.File(shard, "r+") as file:
        file["lsf/sigma"][0, 0] = value
    (problem,) = check_shard(shard)
    assert problem.field == "lsf/sigma" and "wider than the spectrum, 1" in problem.message
