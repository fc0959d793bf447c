"""Grids as their owners have them: the same spectra in the layout of every format that is read."""

import warnings
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
from astropy.io import fits
from astropy.io.fits.verify import VerifyWarning
from scipy.special import ndtr

from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.io.air import vacuum_to_air
from synth2obs.io.own_grids.payne import KURUCZ

STARS = 7
CENTRE, WIDTH = 5050.0, 2e-5
"""The one line: vacuum Å, and σ in ln λ."""

VACUUM = 5030.0 * np.exp(4e-6 * np.arange(2000))
"""Raw samples, Å."""

R = 15000.0
OUTPUT = "[output]\nbands = [[5040.0, 5060.0]]\nresolving_power = 15000\n"
LABELS = '[labels]\nteff = "Teff"\nlogg = "logg"\nfe_h = "[M/H]"\n'

TEFF = np.linspace(4000.0, 7000.0, STARS)
LOGG = np.array([1.0, 4.5, 2.0, 3.5, 4.0, 0.5, 2.5])
FE_H = np.linspace(-2.0, 0.4, STARS)[::-1]
TRUTH = {"teff": TEFF, "logg": LOGG, "fe_h": FE_H}
DEPTH = 0.1 + 0.1 * np.arange(STARS)

COMMON = """name = "mine"
unit = "Angstrom"
medium = "vacuum"
flux_kind = "normalized"
resolving_power = "raw"
"""


def spectra(wavelength=VACUUM, blur=0.0):
    """Normalised flux of all stars, shape (STARS, L); ``blur`` is 1 / R of what broadened it already."""
    wide = np.hypot(WIDTH, blur / FWHM_PER_SIGMA)
    shape = np.exp(-0.5 * (np.log(wavelength / CENTRE) / wide) ** 2) * WIDTH / wide
    return 1.0 - DEPTH[:, None] * shape


def expected(pixels, power=R, step=0.48 / R):
    """The line broadened and integrated over pixels, in closed form, shape (STARS, P)."""
    total = np.sqrt(WIDTH**2 + (1 / power / FWHM_PER_SIGMA) ** 2 - step**2 / 12)
    x = np.log(pixels / CENTRE)
    part = ndtr((x + step / 2) / total) - ndtr((x - step / 2) / total)
    return 1.0 - DEPTH[:, None] * np.sqrt(2 * np.pi) * WIDTH / step * part


def text(path: Path, *parts: str) -> Path:
    path.write_text("".join(parts), encoding="utf-8")
    return path


def npz(folder: Path, **changes) -> Path:
    arrays = {"wave": VACUUM, "flux": spectra(), "Teff": TEFF, "logg": LOGG, "[M/H]": FE_H, **changes}
    np.savez(folder / "grid.npz", **arrays)
    head = 'format = "npz"\nfiles = "grid.npz"\nwavelength = "wave"\nflux = "flux"\n'
    return text(folder / "mine.toml", head, COMMON, LABELS, OUTPUT)


def npz_packed(folder: Path) -> Path:
    """Compressed, half the precision, labels in one array."""
    table = np.column_stack([FE_H, TEFF, LOGG])
    np.savez_compressed(folder / "grid.npz", wave=VACUUM, flux=spectra().astype(np.float32), y=table)
    head = 'format = "npz"\nfiles = "grid.npz"\nwavelength = "wave"\nflux = "flux"\n'
    more = 'label_array = "y"\nlabel_columns = ["[M/H]", "Teff", "logg"]\n'
    return text(folder / "mine.toml", head, more, COMMON, LABELS, OUTPUT)


def hdf5(folder: Path) -> Path:
    with h5py.File(folder / "grid.h5", "w") as file:
        file["wave"] = vacuum_to_air(VACUUM) / 10
        file["spectra/flux"] = spectra().astype(np.float32)
        records = np.rec.fromarrays([TEFF, LOGG, FE_H], names="Teff,logg,mh")
        file["stars"] = records
    head = 'format = "hdf5"\nfiles = "grid.h5"\nwavelength = "wave"\nflux = "spectra/flux"\n'
    common = COMMON.replace("Angstrom", "nm").replace("vacuum", "air")
    labels = '[labels]\nteff = "stars.Teff"\nlogg = "stars.logg"\nfe_h = "stars.mh"\n'
    return text(folder / "mine.toml", head, common, labels, OUTPUT)


@contextmanager
def quiet():
    """astropy does not like names such as [M/H], which owners give."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VerifyWarning)
        yield


def label_columns() -> list[fits.Column]:
    return [fits.Column(n, "D", array=a) for n, a in (("Teff", TEFF), ("logg", LOGG), ("[M/H]", FE_H))]


@quiet()
def fits_images(folder: Path) -> Path:
    columns = label_columns()
    hdus = [
        fits.PrimaryHDU(),
        fits.ImageHDU(VACUUM / 1e4, name="WAVE"),
        fits.ImageHDU(spectra().astype(np.float32), name="FLUX"),
        fits.BinTableHDU.from_columns(columns, name="LABELS"),
    ]
    fits.HDUList(hdus).writeto(folder / "grid.fits")
    head = 'format = "fits"\nfiles = "grid.fits"\nwavelength = "WAVE"\nflux = "FLUX"\n'
    return text(folder / "mine.toml", head, COMMON.replace("Angstrom", "um"), LABELS, OUTPUT)


@quiet()
def fits_rows(folder: Path) -> Path:
    """A table with a row for every spectrum, flux and continuum as vectors."""
    size = len(VACUUM)
    columns = label_columns()
    columns += [fits.Column("flux", f"{size}D", array=3e5 * spectra())]
    columns += [fits.Column("cont", f"{size}D", array=np.full((STARS, size), 3e5))]
    one = fits.BinTableHDU.from_columns([fits.Column("wave", f"{size}D", array=VACUUM[None])])
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns), one]).writeto(
        folder / "grid.fits"
    )
    head = 'format = "fits"\nfiles = "grid.fits"\nwavelength = "wave"\nflux = "flux"\ncontinuum = "cont"\n'
    return text(folder / "mine.toml", head, COMMON.replace("normalized", "absolute"), LABELS, OUTPUT)


def csv_folder(folder: Path) -> Path:
    """A table for every spectrum and one of labels, whose rows are in another order."""
    (folder / "spectra").mkdir()
    for row, flux in enumerate(spectra()):
        table = np.column_stack([VACUUM, flux])
        np.savetxt(
            folder / f"spectra/s{row}.csv", table, delimiter=",", header="wave,flux", comments="", fmt="%.13g"
        )
    rows = [f"s{row}.csv,{TEFF[row]},{LOGG[row]},{FE_H[row]}\n" for row in range(STARS)]
    text(folder / "spectra/labels.csv", "file,Teff,logg,[M/H]\n", *rows[::-1])
    head = 'format = "spectra"\nfiles = "spectra/*.csv"\nwavelength = "wave"\nflux = "flux"\n'
    head += 'label_table = "labels.csv"\n'
    return text(folder / "mine.toml", head, COMMON, LABELS, OUTPUT)


def fits_folder(folder: Path) -> Path:
    """A FITS table for every spectrum, labels in its header."""
    for row, flux in enumerate(spectra()):
        columns = [fits.Column("wave", "D", array=VACUUM), fits.Column("flux", "D", array=flux)]
        hdu = fits.BinTableHDU.from_columns(columns)
        hdu.header.update({"TEFF": TEFF[row], "LOGG": LOGG[row], "MH": FE_H[row]})
        hdu.writeto(folder / f"s{row}.fits")
    head = 'format = "spectra"\nfiles = "*.fits"\nwavelength = "wave"\nflux = "flux"\n'
    labels = '[labels]\nteff = "TEFF"\nlogg = "LOGG"\nfe_h = "MH"\n'
    return text(folder / "mine.toml", head, COMMON, labels, OUTPUT)


def turbospectrum(folder: Path) -> Path:
    """Fixed decimals, as bsyn writes them; wavelengths in air."""
    air = np.round(vacuum_to_air(VACUUM[0]) + 0.01 * np.arange(4500), 3)
    from synth2obs.io.air import air_to_vacuum

    for row, flux in enumerate(spectra(air_to_vacuum(air))):
        name = f"{TEFF[row]:.0f}g{LOGG[row]:+.1f}z{FE_H[row]:+.2f}.spec"
        np.savetxt(folder / name, np.column_stack([air, flux, 3.2e6 * flux]), fmt=" %11.3f %10.5f %15.5E")
    head = """format = "turbospectrum"
files = "*.spec"
name = "mine"
medium = "air"
pattern = '(?P<Teff>\\d+)g(?P<logg>[+-][\\d.]+)z(?P<MH>[+-][\\d.]+)\\.spec'
"""
    return text(folder / "mine.toml", head, LABELS, OUTPUT)


def korg(folder: Path) -> Path:
    """Tab-separated wavelengths, flux and continuum, as Julia's writedlm has them."""
    continuum = 1e14 * (VACUUM / 5000.0) ** -3
    for row, flux in enumerate(spectra()):
        columns = np.column_stack([VACUUM, flux * continuum, continuum])
        np.savetxt(folder / f"k{row}.txt", columns, delimiter="\t", fmt="%.17g")
    rows = [f"k{row} {TEFF[row]} {LOGG[row]} {FE_H[row]}\n" for row in range(STARS)]
    text(folder / "labels.txt", "name Teff logg [M/H]\n", *rows)
    head = """format = "korg"
files = "k*.txt"
name = "mine"
medium = "vacuum"
flux_kind = "absolute"
continuum = "cntm"
label_table = "labels.txt"
file_column = "name"
"""
    return text(folder / "mine.toml", head, LABELS, OUTPUT)


WAVE_FILE = "WAVE_PHOENIX-ACES-AGSS-COND-2011.fits"
PHOENIX_WAVE = np.concatenate([np.arange(500.0, 5029.9, 0.1), VACUUM, np.arange(5080.0, 5200.0, 0.1)])


def phoenix(folder: Path) -> Path:
    """Flux per cm, the wavelengths of all in a file of their own, from 500 Å on."""
    fits.PrimaryHDU(PHOENIX_WAVE).writeto(folder / WAVE_FILE)
    slope = 2e14 * (PHOENIX_WAVE / 5000.0) ** -2.0
    for row, flux in enumerate(spectra(PHOENIX_WAVE)):
        hdu = fits.PrimaryHDU((flux * slope).astype(np.float32))
        cards = {"PHXTEFF": TEFF[row], "PHXLOGG": LOGG[row], "PHXM_H": FE_H[row], "PHXALPHA": 0.2 * (row % 2)}
        hdu.header.update({**cards, "PHXXI_L": 1.2, "BUNIT": "erg/s/cm^2/cm"})
        hdu.writeto(
            folder / f"lte{TEFF[row]:05.0f}-{LOGG[row]:.2f}{-0.0:+.1f}.PHOENIX-ACES-AGSS-COND-2011-HiRes.fits"
        )
    head = 'name = "mine"\nformat = "phoenix"\nfiles = "lte*HiRes.fits"\n'
    return text(folder / "mine.toml", head, "[normalize]\nwindow = 0.002\n", OUTPUT)


def payne(folder: Path) -> Path:
    """Labels (25, N), elements as [X/H], wavelengths in a file of their own."""
    labels = np.zeros((len(KURUCZ), STARS))
    row = KURUCZ.index
    labels[row("Teff")], labels[row("logg")], labels[row("Fe_H")] = TEFF, LOGG, FE_H
    labels[row("Mg_H")] = FE_H + 0.3
    np.savez(folder / "kurucz_training_spectra.npz", spectra=spectra(), labels=labels)
    np.savez(folder / "apogee_wavelength.npz", wavelength=VACUUM)
    head = 'name = "mine"\nformat = "payne"\nfiles = "kurucz_training_spectra.npz"\nmedium = "vacuum"\n'
    rules = 'resolving_power = "raw"\n[labels]\nteff = "Teff"\nlogg = "logg"\nfe_h = "Fe_H"\n'
    return text(folder / "mine.toml", head, rules, 'mg_fe = { column = "Mg_H", minus = "Fe_H" }\n', OUTPUT)


WRITERS = {
    "npz": npz,
    "npz, packed": npz_packed,
    "hdf5": hdf5,
    "fits, images": fits_images,
    "fits, rows": fits_rows,
    "spectra, csv": csv_folder,
    "spectra, fits": fits_folder,
    "turbospectrum": turbospectrum,
    "korg": korg,
    "phoenix": phoenix,
    "payne": payne,
}
