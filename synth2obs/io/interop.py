"""Spectra in and out of astropy's world."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from synth2obs.core.errors import DataError
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Spectra
from synth2obs.io.air import AIR_FORMULA, air_to_vacuum

MEDIA = ("vacuum", "air")


def from_specutils(
    spectra: Any, *, survey: str, medium: str, lsf_sigma: Any, rv: Any = None, frame: str = "barycentric"
) -> Spectra:
    """One `specutils.Spectrum`, or several on the same number of pixels, as a table.

    Pixels that are masked, not finite, or without a finite positive inverse variance are bad.

    Args:
        spectra: Spectrum or a sequence of them, with an uncertainty.
        survey: Domain of the result.
        medium: ``vacuum`` or ``air``: a Spectrum does not say.
        lsf_sigma: Gaussian σ in Å at the pixels, scalar or shape (P,) in the order of the first spectrum.
        rv: Known velocity in km/s, scalar or shape (N,); the spectra's own ``radial_velocity`` if None.
        frame: ``rest`` or ``barycentric``.

    Raises:
        DataError: If there is no spectrum, the medium is not named, an uncertainty is missing, the spectral
            axis is no wavelength, or shapes differ.
    """
    if medium not in MEDIA:
        raise DataError(
            f"got {medium!r}", field="medium", remedy="say 'vacuum' or 'air': the spectrum does not"
        )
    many = list(spectra) if isinstance(spectra, Sequence) else [spectra]
    wavelength, flux, ivar, sigma = _increasing(*_stacked(many), lsf_sigma)
    good = (ivar > 0) & np.isfinite(flux) & np.isfinite(ivar)
    flux, ivar = np.where(good, flux, 0.0), np.where(good, ivar, 0.0)
    count = len(flux)
    velocity = [_velocity(one) for one in many] if rv is None else rv
    return Spectra(
        domain=survey,
        kind="survey",
        wavelength=air_to_vacuum(wavelength) if medium == "air" else wavelength,
        segment=np.zeros(wavelength.shape[1], np.int16),
        flux=flux.astype(np.float32),
        ivar=ivar.astype(np.float32),
        id=np.array([f"{survey}_{row}" for row in range(count)]),
        line_spread=LineSpread.gaussian(sigma, stars=count),
        rv=np.broadcast_to(np.asarray(velocity, float), count).copy(),
        rv_error=np.full(count, np.nan),
        snr=np.array([_snr(*star) for star in zip(flux, ivar, good, strict=True)]),
        frame=frame,
        air_formula=AIR_FORMULA if medium == "air" else "",
    )


def _stacked(spectra: list[Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Wavelength, flux and ivar of spectra on the same number of pixels, shape (N, P) each."""
    if not spectra:
        raise DataError("is empty", field="spectra", remedy="give at least one spectrum")
    rows = [_arrays(one) for one in spectra]
    if len({len(row[0]) for row in rows}) != 1:
        raise DataError(
            "spectra have different numbers of pixels", field="spectral_axis", remedy="pass them singly"
        )
    wavelength, flux, ivar = (np.stack(column) for column in zip(*rows, strict=True))
    return wavelength, flux, ivar


def _increasing(
    wavelength: np.ndarray, flux: np.ndarray, ivar: np.ndarray, lsf_sigma: Any
) -> tuple[np.ndarray, ...]:
    """Arrays and σ (P,), turned if the first spectrum's wavelengths fall."""
    sigma = np.broadcast_to(np.asarray(lsf_sigma, float), wavelength.shape[1:])
    step = -1 if wavelength[0, 0] > wavelength[0, -1] else 1
    wavelength, flux, ivar, sigma = (array[..., ::step] for array in (wavelength, flux, ivar, sigma))
    return wavelength, flux, ivar, sigma.copy()


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


def _arrays(spectrum: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Wavelength in Å, flux and ivar of one spectrum; masked pixels get ivar 0."""
    from astropy.nddata import InverseVariance
    from astropy.units import UnitConversionError

    if spectrum.uncertainty is None:
        raise DataError(
            "has no errors", field="uncertainty", remedy="give a StdDevUncertainty or InverseVariance"
        )
    try:
        wavelength = np.asarray(spectrum.spectral_axis.to_value("Angstrom"), float)
    except UnitConversionError as error:
        raise DataError(
            f"has unit {spectrum.spectral_axis.unit}",
            field="spectral_axis",
            remedy="give wavelengths, frequencies or energies",
        ) from error
    flux = np.asarray(spectrum.flux.value, float)
    # astropy goes through the variance, which is infinite in a pixel of no weight.
    with np.errstate(divide="ignore"):
        ivar = np.array(spectrum.uncertainty.represent_as(InverseVariance).array, float)
    if flux.ndim != 1:
        raise DataError(f"flux has shape {flux.shape}", field="flux", remedy="pass one-dimensional spectra")
    if spectrum.mask is not None:
        ivar[np.asarray(spectrum.mask, bool)] = 0.0
    return wavelength, flux, ivar


def _velocity(spectrum: Any) -> float:
    """The radial velocity that a spectrum carries, in km/s; 0 is what specutils says when it knows none."""
    velocity = spectrum.radial_velocity
    known = float(np.ravel(velocity.to_value("km/s"))[0]) if velocity is not None else 0.0
    return known if known != 0.0 else float("nan")


def _snr(flux: np.ndarray, ivar: np.ndarray, good: np.ndarray) -> float:
    """Median signal to noise of the good pixels; NaN if there is none."""
    return float(np.median(flux[good] * np.sqrt(ivar[good]))) if good.any() else float("nan")
