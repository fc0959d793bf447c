"""What files of one's own say besides numbers: units, blanks, marks of the unknown, byte order marks, names."""

import gzip

import h5py
import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from astropy.table import Table
from pyarrow import parquet

from synth2obs.core.errors import DataError
from synth2obs.io.surveys import read_survey

WAVE = np.linspace(5000.0, 5100.0, 200)
FLUX = 1.0 - 0.3 * np.exp(-0.5 * (WAVE - 5050.0) ** 2)
SIGMA = np.full(200, 0.01)
ARRAYS = {"wave": WAVE, "flux": FLUX, "sigma": SIGMA}
KEYS = {
    "name": '"mine"', "wavelength": '"wave"', "flux": '"flux"', "error": '"sigma"', "unit": '"Angstrom"',
    "medium": '"vacuum"', "frame": '"barycentric"', "flux_kind": '"relative"', "resolving_power": "5000",
}  # fmt: skip
STARS = {"rows": '"stars"', "id": '"name"'}


@pytest.fixture
def describe(tmp_path):
    def write(before=b"", **changes):
        lines = [f"{key} = {value}" for key, value in {**KEYS, **changes}.items() if value is not None]
        (tmp_path / "mine.toml").write_bytes(before + "\n".join(lines).encode())
        return str(tmp_path / "mine.toml")

    return write


def fits_table(path, units=None, header=None, **arrays):
    units = units or {}
    kinds = {"i": "J", "f": "D"}
    columns = [
        fits.Column(
            n, kinds[a.dtype.kind], unit=units.get(n), array=a, null=-99 if a.dtype.kind == "i" else None
        )
        for n, a in {**ARRAYS, **arrays}.items()
    ]
    table = fits.BinTableHDU.from_columns(columns)
    table.header.update(header or {})
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(path, overwrite=True)
    return path


def csv(path, header="wave,flux,sigma", before="", separator=",", rows=None):
    rows = rows or [
        separator.join(map(repr, row)) for row in zip(*map(np.ndarray.tolist, ARRAYS.values()), strict=True)
    ]
    path.write_text("\n".join([*([before] if before else []), header, *rows]) + "\n")
    return path


class TestUnits:
    @pytest.mark.parametrize(
        ("said", "described"),
        [("nm", "Angstrom"), ("Angstrom", "nm"), ("um", "nm"), ("Hz", "Angstrom"), ("K", "Angstrom"),
         ("Angstrom", "log10(Angstrom)"), ("log10(Angstrom)", "Angstrom"), ("micron", "Angstrom")],
    )  # fmt: skip
    def test_fits(self, describe, tmp_path, said, described):
        path = fits_table(tmp_path / "a.fits", {"wave": said})
        with pytest.raises(DataError, match="a.fits: wave: has unit ") as error:
            read_survey(describe(unit=f'"{described}"'), [path])
        assert repr(said) in str(error.value) and repr(described) in str(error.value)

    @pytest.mark.parametrize(
        "said", ["Angstrom", "ANGSTROM", "Angstroms", "A", "0.1nm", "", "pixels of mine"]
    )
    def test_the_same_however_it_is_written(self, describe, tmp_path, said):
        path = fits_table(tmp_path / "a.fits")
        fits.setval(path, "TUNIT1", value=said, ext=1)
        assert read_survey(describe(), [path]).wavelength[0] == 5000.0

    def test_ecsv(self, describe, tmp_path):
        table = Table(ARRAYS, units={"wave": "nm"})
        table.write(tmp_path / "a.ecsv")
        with pytest.raises(DataError, match="wave: has unit 'nm'.*'Angstrom'"):
            read_survey(describe(), [tmp_path / "a.ecsv"])

    @pytest.mark.parametrize("kind", ["fits", "hdf5", "records", "parquet", "parquet field"])
    def test_a_row_per_star(self, describe, tmp_path, kind):
        cells = {name: np.tile(values, (2, 1)) for name, values in ARRAYS.items()}
        table = Table({"name": ["a", "b"], **cells}, units={"wave": "nm"})
        path = tmp_path / "a.dat"
        if kind == "fits":
            table.write(path, format="fits")
        elif kind == "hdf5":
            with h5py.File(path, "w") as file:
                file["name"] = np.array([b"a", b"b"])
                for name, values in cells.items():
                    file[name] = values
                file["wave"].attrs["units"] = "nm"
        elif kind == "records":
            table["name"] = table["name"].astype("S")
            table.write(path, format="hdf5", path="stars", serialize_meta=True)
        else:
            lists = {name: pa.array(list(values)) for name, values in cells.items()}
            rows = pa.table({"name": ["a", "b"], **lists})
            field = rows.schema.field("wave").with_metadata({"unit": "nm"})
            parquet.write_table(rows.cast(rows.schema.set(1, field)), path)
        with pytest.raises(DataError, match="has unit 'nm', but it is described as 'Angstrom'"):
            read_survey(describe(**STARS), [path])

    def test_errors_in_the_unit_of_the_flux(self, describe, tmp_path):
        units = {"flux": "erg/s/cm2/Angstrom", "sigma": "10**-17 erg/s/cm2/Angstrom"}
        with pytest.raises(DataError, match="sigma: has unit .*but the flux has 'erg/s/cm2/Angstrom'"):
            read_survey(describe(), [fits_table(tmp_path / "a.fits", units)])
        units["sigma"] = "erg / (s cm2 Angstrom)"
        assert len(read_survey(describe(), [fits_table(tmp_path / "a.fits", units)])) == 1

    @pytest.mark.parametrize("unit", ["mag", "ABmag", "dex(erg / (s cm2))"])
    def test_fluxes_are_no_logarithms(self, describe, tmp_path, unit):
        with pytest.raises(DataError, match="a.fits: flux: has unit .* a logarithm; convert it"):
            read_survey(describe(), [fits_table(tmp_path / "a.fits", {"flux": unit, "sigma": unit})])

    def test_velocities_and_labels(self, describe, tmp_path):
        cells = {name: np.tile(values, (2, 1)) for name, values in ARRAYS.items()}
        facts = {"name": ["a", "b"], "v": [1.0, 2.0], "t": [5000.0, 6000.0], "g": [4.0, 4.5]}
        keys = STARS | {"rv": '"v"', "labels": '{ teff = "t", logg = "g" }'}
        for units, words in (
            ({"v": "m/s"}, "v: .*'m s-1'.*'km/s'"),
            ({"t": "eV"}, "t: .*'eV'.*'K'"),
            ({}, None),
        ):
            units = {"v": "km/s", "t": "K"} | units
            Table({**facts, **cells}, units=units).write(tmp_path / "a.fits", overwrite=True)
            if words is None:
                assert read_survey(describe(**keys), [tmp_path / "a.fits"]).rv.tolist() == [1.0, 2.0]
                continue
            with pytest.raises(DataError, match=words):
                read_survey(describe(**keys), [tmp_path / "a.fits"])


class TestBlanks:
    blank = np.arange(200) % 7 == 3

    def check(self, spectra):
        assert (spectra.ivar[:, self.blank] == 0).all() and (spectra.ivar[:, ~self.blank] > 0).all()

    @pytest.mark.parametrize("name", ["flux", "sigma"])
    def test_integers_of_fits(self, describe, tmp_path, name):
        whole = np.where(self.blank, -99, 1000 + np.arange(200))
        self.check(read_survey(describe(), [fits_table(tmp_path / "a.fits", **{name: whole})]))

    def test_integers_of_fits_with_a_row_per_star(self, describe, tmp_path):
        whole = np.tile(np.where(self.blank, -99, 1000), (2, 1)).astype(np.int32)
        columns = [
            fits.Column("name", "2A", array=["a", "b"]),
            fits.Column("flux", "200J", array=whole, null=-99),
        ]
        columns += [fits.Column(n, "200D", array=np.tile(ARRAYS[n], (2, 1))) for n in ("wave", "sigma")]
        fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "a.fits")
        self.check(read_survey(describe(**STARS), [tmp_path / "a.fits"]))

    def test_integers_of_fits_of_their_own_lengths(self, describe, tmp_path):
        whole = np.array([np.where(self.blank, -99, n).astype(np.int32) for n in (5, 6)], dtype=object)
        columns = [
            fits.Column("name", "2A", array=["a", "b"]),
            fits.Column("flux", "PJ()", array=whole, null=-99),
        ]
        columns += [fits.Column(n, "200D", array=np.tile(ARRAYS[n], (2, 1))) for n in ("wave", "sigma")]
        fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "a.fits")
        self.check(read_survey(describe(**STARS), [tmp_path / "a.fits"]))

    def test_images(self, describe, tmp_path):
        flux = np.where(self.blank, -99, 1000).astype(np.int32)
        hdus = [fits.PrimaryHDU(), *(fits.ImageHDU(ARRAYS[n], name=n) for n in ("wave", "sigma"))]
        hdus.append(fits.ImageHDU(flux, name="flux"))
        hdus[-1].header["BLANK"] = -99
        fits.HDUList(hdus).writeto(tmp_path / "a.fits")
        self.check(read_survey(describe(), [tmp_path / "a.fits"]))

    def test_ascii_tables_of_fits(self, describe, tmp_path):
        columns = [fits.Column(n, "E15.7", array=a, ascii=True) for n, a in ARRAYS.items()]
        table = fits.TableHDU.from_columns(columns)
        fits.HDUList([fits.PrimaryHDU(), table]).writeto(tmp_path / "a.fits")
        content = bytearray((tmp_path / "a.fits").read_bytes())
        width, first = table.header["NAXIS1"], len(content) - -(-table.header["NAXIS1"] * 200 // 2880) * 2880
        for row in np.nonzero(self.blank)[0]:
            place = first + row * width + table.header["TBCOL2"] - 1
            content[place : place + 15] = b" " * 15
        (tmp_path / "a.fits").write_bytes(bytes(content))
        self.check(read_survey(describe(), [tmp_path / "a.fits"]))

    @pytest.mark.parametrize("mark", ["", "nan", "NULL", "--", "N/A"])
    @pytest.mark.parametrize("kind", [float, int])
    def test_text(self, describe, tmp_path, mark, kind):
        rows = [
            f"{w!r},{mark if b else kind(1000)},0.5" for w, b in zip(WAVE.tolist(), self.blank, strict=True)
        ]
        self.check(read_survey(describe(), [csv(tmp_path / "a.csv", rows=rows)]))

    def test_masked_ecsv(self, describe, tmp_path):
        flux = np.ma.masked_array(np.full(200, 1000), self.blank)
        Table({**ARRAYS, "flux": flux}).write(tmp_path / "a.ecsv")
        self.check(read_survey(describe(), [tmp_path / "a.ecsv"]))

    def test_hdf5_and_parquet(self, describe, tmp_path):
        flux = np.tile(np.where(self.blank, -99, 1000), (2, 1))
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["name"], file["wave"], file["flux"] = np.array([b"a", b"b"]), WAVE, flux
            file["sigma"] = np.tile(SIGMA, (2, 1))
            file["flux"].attrs["_FillValue"] = -99
        self.check(read_survey(describe(**STARS), [tmp_path / "a.h5"]))
        cells = [[None if blank else 1000 for blank in self.blank]] * 2
        columns = {"name": ["a", "b"], "flux": cells, "wave": [WAVE] * 2, "sigma": [SIGMA] * 2}
        parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
        self.check(read_survey(describe(**STARS), [tmp_path / "a.parquet"]))


class TestUnknown:
    keys = {
        "rv": '"VRAD"',
        "labels": '{ teff = "TEFF", teff_error = "ETEFF" }',
        "metadata": '{ s = "SNR", f = "FIB" }',
    }

    @pytest.mark.parametrize("mark", [-999.0, -9999.0, -32768.0])
    def test_fluxes_that_stand_for_none(self, describe, tmp_path, mark):
        flux = ARRAYS["flux"].copy()
        flux[3:9] = mark
        spectra = read_survey(describe(), [fits_table(tmp_path / "a.fits", flux=flux)])
        assert (spectra.ivar[0] == 0).nonzero()[0].tolist() == list(range(3, 9))

    @pytest.mark.parametrize(
        "mark", [-9999.0, -9999, -999.0, -99.0, -99.9, -999.99, 9999.0, 99999, "", "-9999.0"]
    )
    def test_marks_are_no_numbers(self, describe, tmp_path, mark):
        header = {"VRAD": mark, "TEFF": mark, "ETEFF": -9999.0, "SNR": -9999.0, "FIB": 999}
        spectra = read_survey(describe(**self.keys), [fits_table(tmp_path / "a.fits", header=header)])
        assert np.isnan(spectra.rv[0]) and np.isnan(spectra.labels["teff"][0])
        assert np.isnan(spectra.label_errors["teff"][0]) and np.isnan(spectra.native["s"][0])
        assert spectra.native["f"].tolist() == [999.0]

    @pytest.mark.parametrize("speed", [-12.5, 0.0, 540.0, -320.0, 99.0])
    def test_velocities_stay(self, describe, tmp_path, speed):
        path = fits_table(tmp_path / "a.fits", header={"VRAD": speed})
        assert read_survey(describe(rv='"VRAD"'), [path]).rv[0] == speed

    @pytest.mark.parametrize("speed", [12500.0, -3e5, 1e20])
    def test_what_no_star_has_is_refused(self, describe, tmp_path, speed):
        path = fits_table(tmp_path / "a.fits", header={"VRAD": speed})
        with pytest.raises(DataError, match="a.fits: VRAD: is .* faster than any star"):
            read_survey(describe(rv='"VRAD"'), [path])

    def test_a_card_that_is_asked_for_must_make_sense(self, describe, tmp_path):
        path = fits_table(tmp_path / "a.fits", header={"VRAD": 1.0})
        path.write_bytes(
            path.read_bytes().replace(b"VRAD    =                  1.0", b"VRAD    =                1.0.0")
        )
        with pytest.raises(DataError, match="VRAD: cannot be read"):
            read_survey(describe(rv='"VRAD"'), [path])
        assert len(read_survey(describe(), [path])) == 1


class TestText:
    @pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
    def test_marks_and_encodings(self, describe, tmp_path, encoding):
        path = csv(tmp_path / "a.csv", before="# Muñoz")
        path.write_bytes(path.read_text().encode(encoding))
        np.testing.assert_allclose(read_survey(describe(), [path]).flux[0], FLUX, rtol=1e-6)

    def test_description_with_a_mark(self, describe, tmp_path):
        assert len(read_survey(describe(before=b"\xef\xbb\xbf"), [csv(tmp_path / "a.csv")])) == 1

    @pytest.mark.parametrize("suffix", ["csv", "ecsv", "txt", "dat"])
    def test_gzip(self, describe, tmp_path, suffix):
        plain = tmp_path / f"HD 1.5.{suffix}"
        if suffix in ("csv", "txt"):
            csv(
                plain,
                separator="," if suffix == "csv" else " ",
                header="wave,flux,sigma".replace(",", "," if suffix == "csv" else " "),
            )
        else:
            Table(ARRAYS).write(plain, format="ascii.ecsv" if suffix == "ecsv" else "ascii.commented_header")
        packed = plain.with_name(plain.name + ".gz")
        packed.write_bytes(gzip.compress(plain.read_bytes()))
        for path in (plain, packed):
            spectra = read_survey(describe(), [path])
            np.testing.assert_allclose(spectra.flux[0], FLUX, rtol=1e-6)
            assert spectra.id.tolist() == ["HD 1.5"]

    @pytest.mark.parametrize(
        ("before", "header"),
        [
            ("# a comment, with commas\n# another", "wave,flux,sigma"),
            ("# 1, 2, 3\n#wave,flux,sigma", ""),
            ("", "wave;flux;sigma"),
        ],
    )
    def test_comments_headers_and_separators(self, describe, tmp_path, before, header):
        path = csv(tmp_path / "a.csv", header=header, before=before, separator=";" if ";" in header else ",")
        np.testing.assert_allclose(read_survey(describe(), [path]).flux[0], FLUX, rtol=1e-6)


class TestWcs:
    keys = {"wavelength": '"wcs"', "flux": '"PRIMARY"', "error": '"SIGMA"', "hdu": "0"}

    def write(self, path, shape=(200,), **cards):
        first = fits.PrimaryHDU(FLUX.reshape(shape))
        first.header.update(cards)
        fits.HDUList([first, fits.ImageHDU(SIGMA, name="SIGMA")]).writeto(path)
        return path

    step = WAVE[1] - WAVE[0]

    @pytest.mark.parametrize(
        "cards",
        [
            {"CRVAL1": 5000.0, "CDELT1": step},
            {"CRVAL1": 5000.0, "CD1_1": step, "CRPIX1": 1.0, "DC-FLAG": 0, "CTYPE1": "LINEAR"},
            {
                "CRVAL1": 5050.0,
                "CD1_1": step,
                "CRPIX1": 100.5,
                "CDELT1": 1.0,
                "CUNIT1": "Angstrom",
                "CTYPE1": "WAVE",
            },
        ],
    )
    def test_linear(self, describe, tmp_path, cards):
        spectra = read_survey(describe(**self.keys), [self.write(tmp_path / "a.fits", **cards)])
        np.testing.assert_allclose(spectra.wavelength, WAVE, rtol=1e-9)
        np.testing.assert_allclose(spectra.flux[0], FLUX, rtol=1e-6)

    @pytest.mark.parametrize(
        "cards",
        [
            {"DC-FLAG": 1, "CTYPE1": "LINEAR", "CUNIT1": "Angstrom"},
            {"CTYPE1": "WAVE-LOG", "CUNIT1": "log10(Angstrom)"},
            {"DC-FLAG": 1, "unit": '"log10(Angstrom)"'},
        ],
    )
    def test_logarithmic(self, describe, tmp_path, cards):
        unit = cards.pop("unit", '"Angstrom"')
        path = self.write(tmp_path / "a.fits", shape=(1, 1, 200), CRVAL1=3.7, CD1_1=1e-5, **cards)
        spectra = read_survey(describe(**self.keys, unit=unit), [path])
        np.testing.assert_allclose(spectra.wavelength, 10 ** (3.7 + 1e-5 * np.arange(200)), rtol=1e-9)

    def test_logarithmic_as_the_standard_has_it(self, describe, tmp_path):
        path = self.write(tmp_path / "a.fits", CRVAL1=5000.0, CDELT1=0.5, CTYPE1="WAVE-LOG")
        spectra = read_survey(describe(**self.keys), [path])
        np.testing.assert_allclose(spectra.wavelength, 5000 * np.exp(0.5 * np.arange(200) / 5000), rtol=1e-9)

    @pytest.mark.parametrize(
        ("cards", "words"),
        [
            ({"CTYPE1": "AWAV"}, "CTYPE1: means air, but medium is 'vacuum'"),
            ({"CUNIT1": "nm"}, "wcs: has unit 'nm'"),
            ({"CTYPE1": "FREQ"}, "CTYPE1: is 'FREQ'"),
            ({"CTYPE1": "WAVE-TAB"}, "CTYPE1: is 'WAVE-TAB'"),
            ({"CD1_1": 0.7}, "CD1_1: is 0.7, but CDELT1"),
            ({"CDELT1": 0.0}, "CDELT1: is 0"),
            ({"CRVAL1": "x"}, "CRVAL1"),
        ],
    )
    def test_what_contradicts_or_is_no_wavelength(self, describe, tmp_path, cards, words):
        path = self.write(tmp_path / "a.fits", **{"CRVAL1": 5000.0, "CDELT1": 0.5, **cards})
        with pytest.raises(DataError, match=words):
            read_survey(describe(**self.keys), [path])

    def test_who_does_not_know_is_told(self, describe, tmp_path):
        path = self.write(tmp_path / "a.fits", CRVAL1=5000.0, CDELT1=0.5)
        with pytest.raises(DataError, match='write wavelength = "wcs"'):
            read_survey(describe(flux='"PRIMARY"', error='"SIGMA"'), [path])
