"""Spectra in and out of astropy's world."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.given import floats
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Spectra
from synth2obs.core.weights import levels, marked_bad
from synth2obs.io.air import AIR_FORMULA, air_to_vacuum
from synth2obs.io.specutils_in import One, each, read_one

Floats = NDArray[np.floating[Any]]

MEDIA = ("vacuum", "air")

MOST_DECADES = 12
"""Powers of ten of fluxes and errors whose squares float32 holds with room to spare."""


def from_specutils(
    spectra: Any, *, survey: str, medium: str, lsf_sigma: Any, rv: Any = None, frame: str = "barycentric"
) -> Spectra:
    """One `specutils.Spectrum`, or several on the same number of pixels, as a table.

    Pixels that are masked, not finite, or without a finite positive error are bad, and so are those whose error is the
    mark of a bad pixel, `core.weights.huge_error`. Where units make fluxes too small or too large for float32, a
    spectrum is scaled to a median of 1.

    Args:
        spectra: Spectrum with one row of flux or several, a collection, or a sequence of spectra, with uncertainties.
        survey: Domain of the result.
        medium: ``vacuum`` or ``air``: a Spectrum does not say.
        lsf_sigma: Gaussian σ in Å at the pixels: scalar, shape (P,) in the order of the first spectrum, or a function
            of the wavelengths in vacuum Å.
        rv: Known velocity in km/s, scalar or shape (N,); the spectra's own ``radial_velocity`` if None.
        frame: ``rest`` or ``barycentric``.

    Raises:
        DataError: If there is no spectrum, the medium is not named, an uncertainty is missing or of no known kind, the
            spectral axis is no wavelength, a flux is in magnitudes, or shapes differ.
    """
    singles = list(each(spectra))
    if medium not in MEDIA:
        raise DataError(
            f"got {medium!r}", field="medium", remedy="say 'vacuum' or 'air': the spectrum does not"
        )
    many = [read_one(one) for one in singles]
    stated, flux, error = _stacked(many)
    flux, ivar = _scaled(flux, error)
    wavelength, count = air_to_vacuum(stated) if medium == "air" else stated, len(flux)
    return Spectra(
        domain=survey,
        kind="survey",
        wavelength=wavelength,
        segment=np.zeros(wavelength.shape[1], np.int16),
        flux=flux,
        ivar=ivar,
        id=np.array([f"{survey}_{row}" for row in range(count)]),
        line_spread=LineSpread.gaussian(_widths(lsf_sigma, wavelength[0], many[0].turned), stars=count),
        rv=np.array([one.rv for one in many]) if rv is None else rv,
        rv_error=np.full(count, np.nan),
        snr=np.array([_snr(*star) for star in zip(flux, ivar, ivar > 0, strict=True)]),
        frame=frame,
        air_formula=AIR_FORMULA if medium == "air" else "",
    )


def _stacked(many: Sequence[One]) -> tuple[Floats, Floats, Floats]:
    """Wavelength, flux and error of spectra on the same number of pixels, shape (N, P) each."""
    if not many:
        raise DataError("is empty", field="spectra", remedy="give at least one spectrum")
    if len({len(one.flux) for one in many}) != 1:
        raise DataError(
            "spectra have different numbers of pixels", field="spectral_axis", remedy="pass them singly"
        )
    wavelength, flux, error = (
        np.stack([getattr(one, name) for one in many]) for name in ("wavelength", "flux", "error")
    )
    return wavelength, flux, error


def _scaled(flux: Floats, error: Floats) -> tuple[Floats, Floats]:
    """Flux and inverse variance in float32, 0 in bad pixels; a median of 1 for stars that float32 does not hold."""
    good = ~marked_bad(flux, error)
    level = levels(flux, good)
    extreme = np.abs(np.log10(level)) > MOST_DECADES
    with np.errstate(divide="ignore"):
        noisiest = np.where(good, np.abs(np.log10(error)), 0.0).max(axis=1, keepdims=True)
    unit = np.where(extreme | (noisiest > MOST_DECADES), level, 1.0)
    safe = np.where(good, error / unit, 1.0)
    return (
        np.where(good, flux / unit, 0.0).astype(np.float32),
        np.where(good, safe**-2.0, 0.0).astype(np.float32),
    )


def _widths(lsf_sigma: Any, wavelength: Floats, turned: bool) -> Floats:
    """σ in Å at the pixels, shape (P,)."""
    if callable(lsf_sigma):
        return np.asarray(lsf_sigma(wavelength), float)
    given, _ = floats("lsf_sigma", lsf_sigma, "Angstrom")
    if given.shape not in ((), (1,), wavelength.shape):
        raise DataError(
            f"has shape {given.shape} for {wavelength.shape} of flux",
            field="lsf_sigma",
            remedy="give one a pixel",
        )
    sigma = np.broadcast_to(given, wavelength.shape)
    return (sigma[::-1] if turned else sigma).copy()


def to_specutils(spectra: Spectra, unit: str = "") -> list[Any]:
    """Every row as a `specutils.Spectrum` with wavelengths in vacuum Å, inverse variances, mask and velocity.

    Bad pixels are masked; an unknown velocity is 0, as specutils has it. Detectors and line spread stay behind.

    Args:
        spectra: A survey's spectra.
        unit: Unit of the flux; dimensionless if empty.

    Raises:
        DataError: If it is a grid, or detectors overlap so that wavelengths do not increase.
    """
    from astropy import units
    from astropy.nddata import InverseVariance
    from specutils import Spectrum

    if spectra.ivar is None:
        raise DataError("a grid has no errors", field="ivar", remedy="give a survey's spectra")
    rows = np.broadcast_to(spectra.wavelength, spectra.flux.shape)
    if not (np.diff(rows, axis=1) > 0).all():
        raise DataError(
            "detectors overlap", field="wavelength", remedy="keep the pixels of one detector at a time"
        )
    return [
        Spectrum(
            spectral_axis=axis * units.AA,
            flux=flux * units.Unit(unit),
            uncertainty=InverseVariance(ivar, unit=units.Unit(unit) ** -2),
            mask=ivar == 0,
            radial_velocity=np.nan_to_num(rv) * units.Unit("km/s"),
        )
        for axis, flux, ivar, rv in zip(rows, spectra.flux, spectra.ivar, spectra.rv, strict=True)
    ]


def predicted_to_specutils(
    wavelength: np.ndarray, flux: np.ndarray, error: np.ndarray, meta: Sequence[dict[str, Any]]
) -> list[Any]:
    """Predicted spectra as `specutils.Spectrum`, one a row.

    Args:
        wavelength: Vacuum Å, shape (P,).
        flux: In units of the continuum, shape (N, P); what is not finite is masked.
        error: Its standard deviation, shape (N, P).
        meta: Of every spectrum.

    Raises:
        DataError: If detectors overlap so that wavelengths do not increase.
    """
    from astropy import units
    from astropy.nddata import StdDevUncertainty
    from specutils import Spectrum

    if not (np.diff(wavelength) > 0).all():
        raise DataError(
            "detectors overlap", field="wavelength", remedy="keep the pixels of one detector at a time"
        )
    return [
        Spectrum(
            spectral_axis=wavelength * units.AA,
            flux=row * units.dimensionless_unscaled,
            uncertainty=StdDevUncertainty(sigma),
            mask=~np.isfinite(row),
            meta=own,
        )
        for row, sigma, own in zip(flux, error, meta, strict=True)
    ]


def _snr(flux: np.ndarray, ivar: np.ndarray, good: np.ndarray) -> float:
    """Median signal to noise of the good pixels; NaN if there is none."""
    return float(np.median(flux[good] * np.sqrt(ivar[good]))) if good.any() else float("nan")
