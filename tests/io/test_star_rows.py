"""Surveys of one's own with a row per star, in whatever file: what comes out is what went in."""

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import Table

from synth2obs.core.errors import DataError
from synth2obs.io.ingest import blocks
from synth2obs.io.ingest.ingest import ingest
from synth2obs.io.shard.read import read_shard
from synth2obs.io.surveys import read_survey

STARS, PIXELS = 7, 40
DESCRIPTION = {
    "name": '"mine"',
    "rows": '"stars"',
    "wavelength": '"wave"',
    "flux": '"flux"',
    "error": '"err"',
    "unit": '"Angstrom"',
    "medium": '"vacuum"',
    "frame": '"barycentric"',
    "flux_kind": '"normalized"',
    "resolving_power": "5000",
    "id": '"SID"',
    "rv": '"RV"',
    "labels": '{ teff = "TEFF", teff_error = "E_TEFF" }',
    "metadata": '{ fibre = "FIBER", field = "FIELD", gaia = "GAIA", airmass = "AIRMASS" }',
}


@pytest.fixture
def table():
    """Stars as columns."""
    random = np.random.default_rng(1)
    airmass = random.uniform(1.0, 2.0, STARS)
    airmass[2] = np.nan
    return {
        "SID": np.array([f"star {n}" for n in range(STARS)]),
        "wave": np.tile(np.linspace(5000.0, 5050.0, PIXELS), (STARS, 1)),
        "flux": random.uniform(0.5, 1.0, (STARS, PIXELS)),
        "err": random.uniform(0.01, 0.02, (STARS, PIXELS)),
        "RV": random.normal(0.0, 30.0, STARS),
        "TEFF": random.uniform(4000.0, 6000.0, STARS),
        "E_TEFF": np.full(STARS, 50.0),
        "FIBER": np.arange(STARS),
        "FIELD": np.array([f"F{n % 2}" for n in range(STARS)]),
        "GAIA": 2**60 + np.arange(STARS),
        "AIRMASS": airmass,
    }


def write_fits(columns, path):
    Table(columns).write(path)


def write_images(columns, path):
    """A vector of wavelengths and images with a row per star, beside a table of the stars."""
    images = {"wave": columns["wave"][0], "flux": columns["flux"], "err": columns["err"]}
    stars = Table({name: column for name, column in columns.items() if name not in images})
    hdus = [fits.ImageHDU(data, name=name) for name, data in images.items()]
    fits.HDUList([fits.PrimaryHDU(), *hdus, fits.BinTableHDU(stars, name="STARS")]).writeto(path)


def write_records(columns, path):
    Table(columns).write(path, path="data", format="hdf5")


def write_datasets(columns, path):
    with h5py.File(path, "w") as file:
        for name, values in columns.items():
            text = values.dtype.kind == "U"
            file[f"spectra/{name}"] = values.astype(h5py.string_dtype()) if text else values
        del file["spectra/wave"]
        file["wave"] = columns["wave"][0]


def write_parquet(columns, path):
    pq.write_table(pa.table({name: values.tolist() for name, values in columns.items()}), path)


FILES = {
    "FITS table": ("a.fits", write_fits, {}),
    "FITS images": (
        "a.fits",
        write_images,
        {"wavelength": '"WAVE"', "flux": '"FLUX"', "error": '"ERR"', "hdu": '"STARS"'},
    ),
    "HDF5 records": ("a.h5", write_records, {}),
    "HDF5 datasets": ("a.hdf5", write_datasets, {"hdu": '"spectra"'}),
    "Parquet": ("a.parquet", write_parquet, {}),
}


@pytest.fixture
def describe(tmp_path):
    """A function that writes a description with changed or removed (None) keys and gives its path."""

    def write(**changes):
        keys = {key: value for key, value in (DESCRIPTION | changes).items() if value is not None}
        path = tmp_path / "mine.toml"
        path.write_text("".join(f"{key} = {value}\n" for key, value in keys.items()))
        return str(path)

    return write


def same(spectra, table):
    """Whether spectra are those of the table."""
    np.testing.assert_array_equal(spectra.id, table["SID"])
    np.testing.assert_allclose(spectra.wavelength, table["wave"][0])
    np.testing.assert_allclose(spectra.flux, table["flux"], rtol=1e-6)
    np.testing.assert_allclose(spectra.ivar, table["err"] ** -2.0, rtol=1e-6)
    np.testing.assert_allclose(spectra.rv, table["RV"])
    np.testing.assert_allclose(spectra.labels["teff"], table["TEFF"])
    np.testing.assert_allclose(spectra.label_errors["teff"], table["E_TEFF"])
    np.testing.assert_allclose(spectra.native["fibre"], table["FIBER"])
    np.testing.assert_allclose(spectra.native["airmass"], table["AIRMASS"])
    np.testing.assert_array_equal(spectra.native["field"], table["FIELD"])
    np.testing.assert_array_equal(spectra.native["gaia"], table["GAIA"].astype(str))


@pytest.mark.parametrize("name, write, changes", FILES.values(), ids=FILES)
def test_what_goes_in_comes_out_of_the_shard(table, describe, tmp_path, name, write, changes, monkeypatch):
    monkeypatch.setattr(blocks, "MOST", 3)
    write(table, tmp_path / name)
    summary = ingest(describe(**changes), [tmp_path / name], tmp_path / "mine.shard", workers=1)
    assert summary.stars == STARS and {"fibre", "field", "gaia", "airmass"} <= set(summary.carried)
    spectra = read_shard(tmp_path / "mine.shard")
    same(spectra, table)
    rows = np.array([5, 2])
    same(spectra.take(rows), {key: column[rows] for key, column in table.items()})
    same(read_shard(tmp_path / "mine.shard", rows=rows), {key: column[rows] for key, column in table.items()})


def test_several_tables_are_one_survey(table, describe, tmp_path):
    parts = np.arange(4), np.arange(4, STARS)
    for number, rows in enumerate(parts):
        write_parquet({key: column[rows] for key, column in table.items()}, tmp_path / f"{number}.parquet")
    ingest(describe(), [tmp_path / "0.parquet", tmp_path / "1.parquet"], tmp_path / "mine.h5")
    same(read_shard(tmp_path / "mine.h5"), table)


def test_several_spectra_of_one_star(table, describe, tmp_path):
    write_fits(table, tmp_path / "a.fits")
    spectra = read_survey(describe(object='"FIELD"'), [tmp_path / "a.fits"])
    assert spectra.native["object"].tolist() == table["FIELD"].tolist()


def test_each_star_may_have_pixels_of_its_own(table, describe, tmp_path):
    table["wave"] = table["wave"] + np.arange(STARS)[:, None]
    write_fits(table, tmp_path / "a.fits")
    ingest(describe(), [tmp_path / "a.fits"], tmp_path / "mine.h5")
    np.testing.assert_allclose(read_shard(tmp_path / "mine.h5").wavelength, table["wave"])


def test_numbers_name_stars(table, describe, tmp_path):
    write_parquet(table, tmp_path / "a.parquet")
    spectra = read_survey(describe(id='"GAIA"'), [tmp_path / "a.parquet"])
    assert spectra.id.tolist() == [str(2**60 + n) for n in range(STARS)]
    assert read_survey(describe(id='"FIBER"'), [tmp_path / "a.parquet"]).id[0] == "0"


def ragged(table):
    """The third star has fewer pixels."""
    short = {name: [*map(np.asarray, table[name])] for name in ("wave", "flux", "err")}
    for values in short.values():
        values[2] = values[2][:30]
    return {name: (short[name] if name in short else column.tolist()) for name, column in table.items()}


def ragged_parquet(columns, path):
    pq.write_table(pa.table(columns), path)


def ragged_fits(columns, path):
    arrays = [fits.Column(name, "PD()", array=np.array(columns[name], dtype=object)) for name in SPECTRUM]
    others = fits.ColDefs(
        fits.BinTableHDU(Table({n: c for n, c in columns.items() if n not in SPECTRUM})).columns
    )
    fits.BinTableHDU.from_columns([*arrays, *others]).writeto(path)


def ragged_hdf5(columns, path):
    with h5py.File(path, "w") as file:
        for name, values in columns.items():
            kind = h5py.vlen_dtype(np.float64) if name in SPECTRUM else None
            dataset = file.create_dataset(
                name, len(values), kind or np.asarray(values).dtype.str.replace("U", "S")
            )
            for row, value in enumerate(values):
                dataset[row] = value


SPECTRUM = ("wave", "flux", "err")


@pytest.mark.parametrize("write", [ragged_parquet, ragged_fits, ragged_hdf5])
def test_spectra_of_other_lengths_are_filled_up_if_it_is_said(table, describe, tmp_path, write):
    path = tmp_path / "a.any"
    write(ragged(table), path)
    with pytest.raises(DataError, match="pixels: 30, but a.any has 40"):
        read_survey(describe(), [path])
    spectra = read_survey(describe(pixels=str(PIXELS)), [path])
    assert (spectra.ivar[2] > 0).sum() == 30 and (spectra.ivar[1] > 0).all()
    assert spectra.id.tolist() == table["SID"].tolist()


def test_a_compressed_table(table, describe, tmp_path):
    write_fits(table, tmp_path / "a.fits.gz")
    same(read_survey(describe(), [tmp_path / "a.fits.gz"]), table)


def test_a_table_that_was_cut(table, describe, tmp_path):
    write_fits(table, tmp_path / "a.fits")
    whole = (tmp_path / "a.fits").read_bytes()
    for end in (1000, 2880, len(whole) - 5000):
        (tmp_path / "a.fits").write_bytes(whole[:end])
        with pytest.raises(DataError, match=r"a\.fits: "):
            read_survey(describe(), [tmp_path / "a.fits"])


BAD = {
    "no column": ({}, {"flux": '"FLUX"'}, "FLUX: no such column; there are SID, wave"),
    "no metadata": ({}, {"metadata": '{ seeing = "SEEING" }'}, "SEEING: no such column"),
    "no id": ({}, {"id": None}, "id: is not said; name the column"),
    "flux is a number": ({}, {"flux": '"TEFF"'}, r"TEFF: has shape \(7,\), not \(stars, pixels\)"),
    "label is a spectrum": (
        {},
        {"labels": '{ teff = "flux" }'},
        "flux: has shape .* name a column of one value",
    ),
    "wrong unit": ({}, {"unit": '"um"'}, "row 0: wavelength: wavelengths run from 5e"),
    "not a label": (
        {},
        {"labels": '{ feh = "TEFF" }'},
        r"unknown label 'feh'; the nearest are fe_h.*\[metadata\]",
    ),
    "a name that is taken": (
        {},
        {"metadata": '{ object = "FIELD" }'},
        "'object' cannot be used, or is taken",
    ),
    "blank id": ({"SID": ["a", "", *"cdefg"]}, {}, "row 1: SID: holds no name"),
    "NaN id": ({"SID": [np.nan, *range(1, STARS)]}, {}, "row 0: SID: holds no name"),
    "broken id": ({"SID": [1.5, *range(1, STARS)]}, {}, "row 0: id: 1.5 is no name; store ids as text"),
    "id twice": ({"SID": ["a", "b", "a", *"defg"]}, {}, "a occurs 2 times|'a' occurs 2 times"),
    "bad star": ({"err": np.zeros((STARS, PIXELS))}, {}, r"ivar: has no good pixel \(star 0\)"),
}


@pytest.mark.parametrize("columns, changes, words", BAD.values(), ids=BAD)
def test_tables_that_cannot_be_used(table, describe, tmp_path, columns, changes, words):
    write_fits(table | columns, tmp_path / "a.fits")
    with pytest.raises(DataError, match=words):
        ingest(describe(**changes), [tmp_path / "a.fits"], tmp_path / "mine.h5")
    assert not (tmp_path / "mine.h5").exists()


def test_a_table_without_rows(table, describe, tmp_path):
    write_fits({key: column[:0] for key, column in table.items()}, tmp_path / "a.fits")
    with pytest.raises(DataError, match="flux: the table has no rows"):
        read_survey(describe(), [tmp_path / "a.fits"])


def test_columns_of_other_lengths(table, describe, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.update({key: column for key, column in table.items() if column.dtype.kind != "U"})
        del file["RV"]
        file["RV"] = table["RV"][:5]
    changes = {"id": '"FIBER"', "metadata": None}
    with pytest.raises(DataError, match="RV: has 5 rows, the flux has 7"):
        read_survey(describe(**changes), [tmp_path / "a.h5"])
    with pytest.raises(DataError, match=r"row 0: columns: columns have lengths \{'GAIA': 7, 'flux': 40"):
        read_survey(describe(**changes, wavelength='"GAIA"', rv="0.0"), [tmp_path / "a.h5"])


def test_bad_rows_are_left_out_alone(table, describe, tmp_path):
    table["flux"][3], table["SID"][5] = np.nan, "star 0"
    write_fits(table, tmp_path / "a.fits")
    summary = ingest(describe(), [tmp_path / "a.fits"], tmp_path / "mine.h5", on_error="skip")
    assert read_shard(tmp_path / "mine.h5").id.tolist() == [f"star {n}" for n in (0, 1, 2, 4, 6)]
    assert [one.reason.partition(";")[0] for one in summary.skipped] == [
        "ivar: has no good pixel (star 3)",
        "id: star 0 occurs 2 times, first in a.fits",
    ]


def test_a_row_per_star_read_as_one_star_is_told_what_to_write(table, describe, tmp_path):
    write_fits(table, tmp_path / "a.fits")
    with pytest.raises(DataError, match='wave: has 7 rows of arrays; write rows = "stars"'):
        read_survey(describe(rows=None, id=None, rv=None, metadata=None), [tmp_path / "a.fits"])


@pytest.mark.parametrize("content", [b"", b"wave,flux\n1,2\n", b"PAR1broken", b"SIMPLE  = broken"])
def test_no_table(describe, tmp_path, content):
    (tmp_path / "a.fits").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.fits: "):
        read_survey(describe(), [tmp_path / "a.fits"])


def test_parquet_without_pyarrow(table, describe, tmp_path, monkeypatch):
    write_parquet(table, tmp_path / "a.parquet")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(DataError, match="needs pyarrow; `pip install pyarrow`, or write the table as FITS"):
        read_survey(describe(), [tmp_path / "a.parquet"])
