"""Anybody's own table of labels, for every survey: by id, object or file, with whatever else it says."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy import units as u
from astropy.table import Table

from synth2obs.core.errors import DataError
from synth2obs.io.ingest.ingest import ingest
from synth2obs.io.shard.read import read_shard
from synth2obs.io.surveys import read_survey
from synth2obs.io.surveys.star_labels import read_star_labels

STARS = 5
COLUMNS = {
    "id": [f"s{n}" for n in range(STARS)],
    "teff": [5000.0, 5100.0, np.nan, 5300.0, 5400.0],
    "teff_error": [50.0, 50.0, np.nan, 60.0, 60.0],
    "fe_h": [-1.0, -0.5, 0.0, 0.2, -9999.0],
    "night": ["2024-01-01", "2024-01-02", "", "2024-01-04", "2024-01-05"],
    "exposure": [60, 120, 180, 240, 300],
}


@pytest.fixture
def stars(native, tmp_path):
    """A folder of spectra and its description."""
    paths = [native.own_table(tmp_path / f"s{n}.csv", pixels=60) for n in range(STARS)]
    (tmp_path / "mine.toml").write_text(native.DESCRIPTION)
    return str(tmp_path / "mine.toml"), paths


def csv(table, path):
    table.write(path, format="ascii.csv")


def ecsv(table, path):
    table["teff"].unit = u.K
    table.write(path, format="ascii.ecsv")


def fits(table, path):
    table["teff"] = (table["teff"] / 1000.0) * u.kK
    table["teff_error"] = (table["teff_error"] / 1000.0) * u.kK
    table.write(path, format="fits")


def parquet(table, path):
    pq.write_table(pa.table({name: table[name].tolist() for name in table.colnames}), path)


def hdf5(table, path):
    table.write(path, path="stars", format="hdf5")


@pytest.mark.parametrize("write", [csv, ecsv, fits, parquet, hdf5])
@pytest.mark.parametrize("key", ["id", "object", "file"])
def test_labels_and_all_else_come_along(stars, tmp_path, write, key):
    description, paths = stars
    columns = dict(COLUMNS)
    columns[key] = [f"{name}.csv" if key == "file" else name for name in columns.pop("id")]
    table = Table(columns)[::-1]
    write(table, tmp_path / "labels")
    (tmp_path / "labels").rename(tmp_path / f"labels.{write.__name__}")
    ingest(description, paths, tmp_path / "a.h5", parameters=tmp_path / f"labels.{write.__name__}")
    spectra = read_shard(tmp_path / "a.h5")
    np.testing.assert_allclose(spectra.labels["teff"], COLUMNS["teff"])
    np.testing.assert_allclose(spectra.label_errors["teff"], COLUMNS["teff_error"])
    np.testing.assert_allclose(spectra.labels["fe_h"], [*COLUMNS["fe_h"][:4], np.nan])
    assert spectra.native["night"].tolist() == COLUMNS["night"]
    assert spectra.native["exposure"].tolist() == COLUMNS["exposure"]


def test_files_are_found_without_their_ending(stars, tmp_path):
    (tmp_path / "t.csv").write_text("file,teff\nsomewhere/s1,5000\ns3.fits,6000\n")
    labels = read_survey(stars[0], stars[1], parameters=tmp_path / "t.csv").labels["teff"]
    np.testing.assert_array_equal(labels, [np.nan, 5000.0, np.nan, 6000.0, np.nan])


def test_names_that_look_like_numbers_are_names(native, stars, tmp_path):
    path = native.own_table(tmp_path / "0017.csv", pixels=60)
    (tmp_path / "t.csv").write_text("id,teff\n0017,5000\n")
    assert read_survey(stars[0], [path], parameters=tmp_path / "t.csv").labels["teff"] == [5000.0]


def test_a_description_names_columns_of_the_table_too(stars, tmp_path):
    with open(stars[0], "a") as file:
        file.write('labels = { teff = "T_EFF" }\nmetadata = { fibre = "FIBRE NO" }\n')
    (tmp_path / "t.csv").write_text("id,T_EFF,FIBRE NO,[other]\n" + "s0,5000,7,x\n" + "s1,5100,8,y\n")
    spectra = read_survey(*stars, parameters=tmp_path / "t.csv")
    assert spectra.labels["teff"][:2].tolist() == [5000.0, 5100.0]
    assert spectra.native["fibre"][:2].tolist() == [7.0, 8.0] and spectra.native["other"][:2].tolist() == [
        "x",
        "y",
    ]


NATIVE = {
    "lamost_lrs": lambda n, f: [n.lamost_lrs(f / "spec-1.fits")],
    "apogee": lambda n, f: [n.apstar(f / "apStar-dr17-2M00000001+0000001.fits")],
    "galah": lambda n, f: n.galah_6(f),
}


@pytest.mark.parametrize("survey, make", NATIVE.items(), ids=NATIVE)
def test_a_survey_with_a_table_of_its_own_takes_yours_as_well(native, tmp_path, survey, make):
    stars = make(native, tmp_path)
    (name,) = read_survey(survey, stars).id
    (tmp_path / "t.csv").write_text(f"id,teff,seeing\n{name},4321,1.5\n")
    spectra = read_survey(survey, stars, parameters=tmp_path / "t.csv")
    assert spectra.labels["teff"] == [4321.0] and spectra.native["seeing"] == [1.5]
    Table({"id": [name], "teff": [4321.0]}).write(tmp_path / "t.fits")
    assert read_survey(survey, stars, parameters=tmp_path / "t.fits").labels["teff"] == [4321.0]


BAD = {
    "no rows": ("id,teff\n", "has no rows; give at least one star"),
    "no key": ("star,teff\ns0,5000\n", "has no column id, file, object; .*there are star, teff"),
    "blank id": ("id,teff\ns0,5000\n,5100\n", "id: is blank in row 1; name it"),
    "twice": ("id,teff\ns0,5000\ns1,5000\ns0,5100\n", r"id: s0 has several rows \(0 and 2, from 0\)"),
    "text": ("id,teff\ns0,hot\n", "teff: holds 'hot', no number; leave unknown cells blank"),
    "wrong unit": (
        "id,teff\ns0,5.0\ns1,5.1\n",
        "teff: is 5.05 K in the middle, not within 1000 .*convert it to K",
    ),
    "strangers": (
        "id,teff\nHD 1,5000\n",
        "id: has no row for any of 5 spectra: it names 'HD 1', they are 's0'",
    ),
}


@pytest.mark.parametrize("text, words", BAD.values(), ids=BAD)
def test_tables_that_cannot_be_used(stars, tmp_path, text, words):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=rf"t\.csv: .*{words}"):
        ingest(*stars, tmp_path / "a.h5", parameters=tmp_path / "t.csv")
    assert not (tmp_path / "a.h5").exists()


def test_a_unit_that_is_none_of_the_label(tmp_path):
    Table({"id": ["a"], "teff": [5000.0] * u.km}).write(tmp_path / "t.fits")
    with pytest.raises(DataError, match="teff: has unit km, not K; convert it to K"):
        read_star_labels(tmp_path / "t.fits")
    Table({"id": ["a"], "logg": [4.0] * u.dex(u.cm / u.s**2)}).write(tmp_path / "t.ecsv")
    assert read_star_labels(tmp_path / "t.ecsv").values["logg"] == [4.0]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"\x00\x01"])
def test_no_table(stars, tmp_path, content):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(DataError, match=r"t\.csv: "):
        read_survey(*stars, parameters=tmp_path / "t.csv")
