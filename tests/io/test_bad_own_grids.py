"""What is wrong with a grid is said in its owner's words, with the file and what to do; nothing is left behind."""

import h5py
import numpy as np
import own_grid_files as files
import pytest
from astropy.io import fits

from synth2obs.core.errors import DataError
from synth2obs.io.own_grids.join import join_grids


def refused(description, *words):
    """The message of the refusal, which has these words and names a file."""
    out = description.with_name("grid.h5.out.h5")
    with pytest.raises(DataError) as caught:
        join_grids([description], out)
    message = str(caught.value)
    assert all(word in message for word in words), message
    assert caught.value.path is not None and not out.exists()
    assert not [path for path in description.parent.iterdir() if "partial" in path.name]
    return message


def edit(description, old, new):
    text = description.read_text()
    assert old in text
    description.write_text(text.replace(old, new))
    return description


@pytest.mark.parametrize(
    "old, new, words",
    [
        ('medium = "vacuum"\n', "", ["medium: is missing", "never guessed"]),
        ('medium = "vacuum"', 'medium = "aether"', ["medium", "'aether'", "never guessed"]),
        ('resolving_power = "raw"\n', "", ["resolving_power: is missing", '"raw"']),
        ('"raw"', "-3.0", ["resolving_power", "must be positive, got -3"]),
        ('"raw"', '"high"', ["resolving_power", "'high'"]),
        ('unit = "Angstrom"', 'unit = "furlong"', ["unit", "'furlong'", "Angstrom, nm or um"]),
        ('flux = "flux"', 'fluks = "flux"', ["fluks: is unknown", "did you mean flux?"]),
        ('flux = "flux"\n', "", ["flux: is not said", "there are wave, flux"]),
        ('flux = "flux"', 'flux = "fluxes"', ["no array 'fluxes'", "there are wave, flux"]),
        ('format = "npz"', 'format = "np"', ["format: got 'np'", "npz, hdf5"]),
        ('format = "npz"', 'format = ["npz"]', ["format: got ['npz']"]),
        ("teff =", "Teff =", ["unknown label 'Teff'", "teff"]),
        ("fe_h =", "m_h =", ["unknown label 'm_h'", "fe_h"]),
        ('teff = "Teff"\n', "", ["a grid needs teff"]),
        ('"[M/H]"', '"[Fe/H]"', ["no array '[Fe/H]'"]),
        (
            'teff = "Teff"',
            'teff = { column = "Teff", factor = 2 }',
            ["labels.teff.factor: is unknown", "scale"],
        ),
        ('"grid.npz"', '"none.npz"', ["no file fits 'none.npz'"]),
        ('"Teff"', '"logg"', ["labels.teff", "K for mine_000000", "scale of column 'logg'"]),
        (files.OUTPUT, "", ["need a section [output]"]),
        ("= 15000", "= 1e6", ["samples are", "apart"]),
        ('"raw"', "14000", ["cannot be reached from R = 14000", "leave [output] out"]),
        ("[5040.0, 5060.0]", "[5060.0, 5040.0]", ["must increase and not touch"]),
        ("[5040.0, 5060.0]", "[6040.0, 6060.0]", ["outside the grid's 5030.0 to 5070.4"]),
        ("[5040.0, 5060.0]", "[5030.1, 5060.0]", ["stay within"]),
        ("= 15000", "= 15000\nstep = 1e-4", ["two pixels per FWHM", "0.0001"]),
        ('flux = "flux"', 'flux = "flux"\ncontinuum = "wave"', ["continuum and normalize must be left out"]),
        ('name = "mine"', 'name = "my grid"', ["name:", "'my grid'"]),
        ('name = "mine"', "name = ", ["cannot be read", "TOML"]),
    ],
)
def test_descriptions(old, new, words, tmp_path):
    message = refused(edit(files.npz(tmp_path), old, new), *words)
    assert "mine.toml" in message or "grid.npz" in message or str(tmp_path) in message


def test_all_that_is_missing_is_named(tmp_path):
    message = refused(files.text(tmp_path / "bare.toml", 'format = "npz"\n'), "7 problems")
    assert all(f"{key}: is missing" in message for key in ("name", "files", "medium", "unit", "labels"))


def broken(array, place, value):
    copy = np.array(array, dtype=float)
    copy[place] = value
    return copy


NAN, FLUX, WAVE = float("nan"), files.spectra(), files.VACUUM


@pytest.mark.parametrize(
    "changes, words",
    [
        (
            {"Teff": broken(files.TEFF, 2, NAN)},
            ["labels.teff: is nan K for mine_000002", "leave such spectra out"],
        ),
        ({"logg": files.LOGG + 100}, ["labels.logg: is 101 dex(cm s-2)", "(7 such)"]),
        ({"Teff": files.TEFF / 1000}, ["labels.teff: is 4 K", "not within 1000 to"]),
        ({"Teff": files.TEFF[:-1]}, ["Teff: has shape (6,) for 7 spectra"]),
        ({"Teff": files.TEFF.astype(str)}, ["no numbers"]),
        ({"Teff": np.array([{}] * 7)}, ["cannot be read as npz", "allow_pickle"]),
        (
            {"Teff": files.TEFF[[0, 1, 2, 3, 4, 5, 0]], "logg": files.LOGG * 0 + 1, "[M/H]": files.FE_H * 0},
            ["mine_000000 and mine_000006 have the same labels"],
        ),
        ({"wave": WAVE[::-1]}, ["wavelength: decreases at sample 1", "sort"]),
        ({"wave": broken(WAVE, 7, WAVE[6])}, ["repeats at sample 7"]),
        ({"wave": WAVE.astype(np.float16).astype(float)}, ["repeats at sample", "double precision"]),
        ({"wave": broken(WAVE, 7, NAN)}, ["two finite numbers"]),
        ({"wave": WAVE / 10}, ["503 to 507.038", 'unit = "nm"']),
        ({"wave": WAVE / 1e4}, ["wavelength: run from 0.503", 'unit = "um"']),
        ({"wave": WAVE[:-1]}, ["has shape (1999,)", "one wavelength a sample"]),
        ({"flux": FLUX.T}, ["wave: has shape (2000,)", "looks transposed"]),
        ({"flux": FLUX[0]}, ["must be (spectra, samples)"]),
        ({"flux": broken(FLUX, (3, 900), NAN)}, ["flux: of mine_000003 is NaN"]),
        ({"flux": broken(FLUX, (3, 900), np.inf)}, ["flux: of mine_000003 is NaN or infinite"]),
        ({"flux": broken(FLUX, (3, 900), -0.1)}, ["flux: of mine_000003 is negative"]),
        ({"flux": broken(FLUX, 3, 0.0)}, ["flux: of mine_000003 is zero throughout"]),
        ({"flux": 1e5 * FLUX}, ["said to be normalized", "[normalize]"]),
    ],
)
def test_arrays(changes, words, tmp_path):
    assert "grid.npz" in refused(files.npz(tmp_path, **changes), *words)


def test_a_table_of_labels_that_is_turned(tmp_path):
    description = files.npz_packed(tmp_path)
    arrays = dict(np.load(tmp_path / "grid.npz"))
    np.savez(tmp_path / "grid.npz", **{**arrays, "y": arrays["y"].T})
    refused(description, "y: has shape (3, 7)", "set transposed = true")
    edit(description, '["[M/H]", "Teff", "logg"]', '["[M/H]", "Teff"]')
    refused(description, "2 columns", "name every column")


@pytest.mark.parametrize("kind", files.WRITERS)
def test_no_file_is_taken_for_what_it_is_not(kind, tmp_path):
    description = files.WRITERS[kind](tmp_path)
    first = sorted(path for path in tmp_path.rglob("*") if path.is_file() and path != description)[0]
    for content in (b"no such thing\n1 2\n", b"", first.read_bytes()[: first.stat().st_size // 2]):
        first.write_bytes(content)
        refused(description)


def test_an_empty_folder(tmp_path):
    (tmp_path / "empty").mkdir()
    description = edit(files.csv_folder(tmp_path), '"spectra/*.csv"', '"empty"')
    refused(description, "no file fits 'empty'")


class TestFolders:
    def test_a_spectrum_without_labels(self, tmp_path):
        description = files.csv_folder(tmp_path)
        (tmp_path / "spectra/s9.csv").write_bytes((tmp_path / "spectra/s0.csv").read_bytes())
        refused(description, "labels.csv", "s9.csv has no row (1 of 8 files)")

    def test_labels_without_a_spectrum(self, tmp_path):
        description = files.csv_folder(tmp_path)
        (tmp_path / "spectra/s3.csv").unlink()
        refused(description, "s3.csv has labels, but no file (1 such rows)")

    def test_a_spectrum_with_labels_twice(self, tmp_path):
        description = files.csv_folder(tmp_path)
        with (tmp_path / "spectra/labels.csv").open("a") as table:
            table.write("s3.csv,5000,1,0\n")
        refused(description, "s3.csv has several rows")

    def test_a_blank_label(self, tmp_path):
        description = files.csv_folder(tmp_path)
        edit(tmp_path / "spectra/labels.csv", f"{files.TEFF[2]}", "")
        refused(description, "labels.teff: is nan K for mine_s2")

    @pytest.mark.parametrize(
        "old, new, words",
        [
            ("file,Teff", "name,Teff", ["no column 'file'", "there are name"]),
            ("Teff", "T", ["no column 'Teff'"]),
            ("4000.0", "hot", ["no number"]),
        ],
    )
    def test_a_table_of_other_columns(self, old, new, words, tmp_path):
        description = files.csv_folder(tmp_path)
        edit(tmp_path / "spectra/labels.csv", old, new)
        refused(description, "labels.csv", *words)

    def test_other_wavelengths(self, tmp_path):
        description = files.csv_folder(tmp_path)
        edit(tmp_path / "spectra/s4.csv", "\n5030.", "\n5031.")
        refused(description, "s4.csv")

    def test_fewer_samples(self, tmp_path):
        description = files.csv_folder(tmp_path)
        path = tmp_path / "spectra/s4.csv"
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:-5]))
        refused(description, "s4.csv", "not those of the first spectrum")

    def test_columns_that_nobody_names(self, tmp_path):
        refused(edit(files.csv_folder(tmp_path), 'wavelength = "wave"\n', ""), "wavelength: is not said")

    def test_no_labels_at_all(self, tmp_path):
        description = files.turbospectrum(tmp_path)
        lines = [line for line in description.read_text().splitlines() if not line.startswith("pattern")]
        refused(files.text(description, "\n".join(lines)), "name a label_table")

    @pytest.mark.parametrize(
        "old, new, words",
        [
            ("(?P<Teff>", "(?P<T>", ["no group for 'Teff'", "(?P<Teff>...)"]),
            ("(?P<Teff>", "(", ["no group"]),
            ("spec'", "flux'", ["does not fit the name"]),
            ("(?P<Teff>\\d+)g", "\\d+(?P<Teff>g)", ["finds no number"]),
            ("(?P<Teff>", "((?P<Teff>", ["is no regular expression"]),
        ],
    )
    def test_patterns(self, old, new, words, tmp_path):
        refused(edit(files.turbospectrum(tmp_path), old, new), "pattern", *words)

    def test_a_card_that_is_missing(self, tmp_path):
        description = files.fits_folder(tmp_path)
        with fits.open(tmp_path / "s2.fits", mode="update") as hdus:
            del hdus[1].header["LOGG"]
        refused(description, "s2.fits: LOGG", "is missing")


class TestPhoenix:
    def test_without_its_wavelengths(self, tmp_path):
        description = files.phoenix(tmp_path)
        (tmp_path / files.WAVE_FILE).unlink()
        refused(description, files.WAVE_FILE, "no such file")

    def test_with_others(self, tmp_path):
        description = files.phoenix(tmp_path)
        fits.PrimaryHDU(files.VACUUM).writeto(tmp_path / files.WAVE_FILE, overwrite=True)
        refused(description, "samples, the file of wavelengths 2000")

    def test_in_air(self, tmp_path):
        description = edit(files.phoenix(tmp_path), "[normalize]", 'medium = "air"\n[normalize]')
        refused(description, "medium: is 'air', but phoenix files are in vacuum")

    @pytest.mark.parametrize(
        "window, words", [("1e-6", "make it wider"), ("2", "normalize.window"), ('"x"', "normalize.window")]
    )
    def test_windows(self, window, words, tmp_path):
        refused(edit(files.phoenix(tmp_path), "0.002", window), words)


def test_a_continuum_that_is_zero(tmp_path):
    description = files.korg(tmp_path)
    table = np.loadtxt(tmp_path / "k1.txt")
    table[:, 2] = 0
    np.savetxt(tmp_path / "k1.txt", table)
    refused(description, "k1.txt: continuum: is not positive")


def test_hdf5_with_flux_of_three_dimensions(tmp_path):
    description = files.hdf5(tmp_path)
    with h5py.File(tmp_path / "grid.h5", "r+") as file:
        del file["spectra/flux"]
        file["spectra/flux"] = np.ones((2, 3, 4))
    refused(description, "spectra/flux: has shape (2, 3, 4)")


def test_two_columns_of_one_name(tmp_path):
    description = files.fits_images(tmp_path)
    with fits.open(tmp_path / "grid.fits", mode="append") as hdus:
        hdus.append(fits.ImageHDU(np.ones(3), name="FLUX"))
    refused(description, "FLUX: is the name of two")
