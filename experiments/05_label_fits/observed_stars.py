"""Real stars and what is known of them: native files of a data folder, read as a user would."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.labels import STELLAR
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Spectra
from synth2obs.io.air import air_to_vacuum
from synth2obs.io.surveys import read_survey
from synth2obs.models.bridge import Bridge
from synth2obs.training.domains import DataConfig, load_domains

SUN = (5772.0, 4.44, 0.0)
EIGHTEEN_SCO = (5810.0, 4.44, 0.03)
HERMES, UVES, TABLES = 28_000.0, 50_000.0, 4900.0
"""Resolving powers of the Sun's spectra: of UVES at least; lines of the tables are as wide as those of UVES at 4900."""

FINE = 2e-6
"""Spacing in ln λ on which sharp spectra are broadened."""


@dataclass(frozen=True)
class Known:
    """Spectra and what others say of Teff, log g, [Fe/H] and of its errors, (N, 3); NaN where they say nothing."""

    spectra: Spectra
    table: NDArray[np.float64]
    error: NDArray[np.float64]


def held_out(bridge: Bridge, survey: str, error: tuple[float, ...]) -> Known:
    """Stars that the bridge's training kept for tests, with the labels of their shard."""
    config = bridge.card["config"]
    data = load_domains(DataConfig(**config["data"]), config["seed"]).surveys[survey]
    spectra = data.spectra.take(data.rows("test"))
    return Known(spectra, own_labels(spectra), np.tile(error, (len(spectra), 1)))


def own_labels(spectra: Spectra) -> NDArray[np.float64]:
    """Teff, log g, [Fe/H] as a library gives them, (N, 3)."""
    missing = np.full(len(spectra), np.nan)
    return np.stack([np.asarray(spectra.labels.get(name, missing), float) for name in STELLAR], axis=1)


def benchmarks(data: Path, survey: str, fe_h_error: float) -> Known:
    """Gaia FGK benchmark stars v3 that MILES or STELIB shows; [Fe/H] has no errors in the table."""
    rows = _rows(data / "labels" / "gaia_benchmark_v3.csv")
    column = {"miles": "miles_id", "stelib": "stelib_file"}[survey]
    rows = [row for row in rows if row[column]]
    folder = data / "observed" / survey
    files = [
        folder / (row[column] if survey == "stelib" else f"MILES_res2.50_star_m{row[column][-4:]}V.fits")
        for row in rows
    ]
    kept = [(row, file) for row, file in zip(rows, files, strict=True) if file.exists()]
    parameters = folder / "MILES_params.db" if survey == "miles" else None
    spectra = read_survey(survey, [file for _, file in kept], parameters=parameters)
    table = np.array([[float(row[name]) for name in STELLAR] for row, _ in kept])
    error = [[float(row["teff_error"]), float(row["logg_error"]), fe_h_error] for row, _ in kept]
    return Known(spectra, table, np.array(error))


def lamost(data: Path) -> Spectra:
    """LAMOST DR8, with several spectra of many stars; ``native["object"]`` is the star."""
    return read_survey("lamost_lrs", sorted((data / "observed" / "lamost_lrs").glob("*.fits.gz")))


def lamost_dr1(data: Path, snr: float) -> Known:
    """Stars of LAMOST's pilot survey above an S/N in g, with the survey's own labels."""
    folder = data / "observed" / "lamost_dr1"
    spectra = read_survey("lamost_lrs", sorted(folder.glob("*.fits")), parameters=folder / "labels.csv")
    spectra = spectra.take((spectra.native["snr_g"] > snr) & np.isfinite(spectra.labels["teff"]))
    error = np.stack([spectra.label_errors[name] for name in STELLAR], axis=1)
    return Known(spectra, own_labels(spectra), error)


def suns(data: Path, bridge: Bridge, survey: str) -> dict[str, tuple[Spectra, tuple[float, float, float]]]:
    """The Sun from Vesta (GALAH) and from the sky, and its twin 18 Sco, as sharp as a survey sees stars."""
    vesta = read_survey(
        "galah", sorted((data / "observed" / "galah_iraf6").glob("2101150022012*")), frame="rest"
    )
    assert vesta.ivar is not None
    good = vesta.ivar[0] > 0
    vesta_star = vesta.wavelength[good], vesta.flux[0, good], HERMES
    found = {"Vesta, GALAH": (vesta_star, SUN)}
    folder = data / "observed" / "high_resolution"
    angstrom, flux = np.loadtxt(folder / "sun_uves_air_4835_6723.txt.gz").T
    seen = flux > 0
    found["Sun, UVES"] = (air_to_vacuum(angstrom[seen]), flux[seen], UVES), SUN
    for name, file, labels in (("Sun", "sun", SUN), ("18 Sco", "18sco", EIGHTEEN_SCO)):
        nm, flux, _ = np.loadtxt(folder / f"{file}_r42000_nm_air.csv", delimiter="\t", skiprows=1).T
        seen = flux > 0
        found[f"{name}, R = {TABLES:.0f}"] = (air_to_vacuum(10.0 * nm[seen]), flux[seen], TABLES), labels
    return {name: (softened(bridge, survey, *star), labels) for name, (star, labels) in found.items()}


def softened(
    bridge: Bridge,
    survey: str,
    wavelength: NDArray[np.float64],
    flux: NDArray[np.float64],
    resolving_power: float,
) -> Spectra:
    """A spectrum of higher resolution as a survey would see it, S/N 300; no weight where it has holes."""
    model = bridge.survey(survey)
    pixels, sigma = model.wavelength.numpy(), model.lsf_sigma.numpy() * float(model.width_scale)
    fine = np.exp(np.arange(np.log(wavelength[0]), np.log(wavelength[-1]), FINE))
    order = np.argsort(wavelength)
    sharp = np.interp(fine, wavelength[order], flux[order])
    gaps = np.nonzero(np.diff(wavelength[order]) > 2.0)[0]
    broad = np.empty((8, len(fine)))
    widths = np.linspace((sigma / pixels).min(), (sigma / pixels).max(), 8)
    own = 1.0 / (FWHM_PER_SIGMA * resolving_power)
    for row, width in enumerate(widths):
        broad[row] = gaussian_filter1d(sharp, np.sqrt(width**2 - own**2) / FINE)
    place = np.interp(sigma / pixels, widths, np.arange(8.0))
    at = np.array([np.interp(pixels, fine, row) for row in broad])
    lower = np.minimum(place.astype(int), 6)
    share, columns = place - lower, np.arange(len(pixels))
    seen = (1 - share) * at[lower, columns] + share * at[lower + 1, columns]
    covered = (pixels > wavelength.min() + 8) & (pixels < wavelength.max() - 8)
    for gap in gaps:
        covered &= (pixels < wavelength[order][gap] - 8) | (pixels > wavelength[order][gap + 1] + 8)
    return Spectra(
        domain=survey,
        kind="survey",
        wavelength=pixels,
        segment=model.segment.numpy(),
        flux=seen[None].astype(np.float32),
        ivar=(covered * 300.0**2 / np.clip(seen, 0.05, None))[None].astype(np.float32),
        id=np.array(["star"]),
        line_spread=LineSpread.gaussian(model.lsf_sigma.numpy(), stars=1),
        rv=np.zeros(1),
        rv_error=np.full(1, np.nan),
        snr=np.full(1, 300.0),
    )


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))
