"""What `specutils` spectra hold: wavelengths, flux and errors in plain numbers."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.given import floats, refuse_logarithm

POWERS = {"std": 1.0, "var": 2.0, "ivar": -2.0}
"""By astropy's type of an uncertainty, the power of the flux's unit that it has."""

UNCERTAINTIES = "give a StdDevUncertainty, VarianceUncertainty or InverseVariance"


@dataclass(frozen=True)
class One:
    """One spectrum of P pixels, from blue to red.

    Args:
        wavelength: Å, as the spectrum has them, shape (P,).
        flux: In the spectrum's unit, shape (P,).
        error: Standard deviation in that unit, infinite in bad pixels, shape (P,).
        rv: km/s, NaN if unknown.
        turned: Whether the spectrum had its pixels from red to blue.
    """

    wavelength: NDArray[np.float64]
    flux: NDArray[np.float64]
    error: NDArray[np.float64]
    rv: float
    turned: bool = False


def each(spectra: Any) -> Iterator[Any]:
    """Single spectra of one, of several in one object, or of a sequence of them.

    Raises:
        DataError: For what is no spectrum.
    """
    if not hasattr(spectra, "spectral_axis"):
        if isinstance(spectra, str | bytes) or not hasattr(spectra, "__iter__"):
            raise _no_spectrum(spectra)
        for one in spectra:
            if not hasattr(one, "spectral_axis"):
                raise _no_spectrum(one)
            yield from each(one)
    elif spectra.flux.ndim == 2:
        yield from (spectra[row] for row in range(spectra.flux.shape[0]))
    else:
        yield spectra


def read_one(spectrum: Any) -> One:
    """A spectrum's numbers; masked pixels and those without a finite positive error have an infinite one.

    Raises:
        DataError: For a missing or unknown uncertainty, an axis that is no wavelength, a flux in magnitudes, or shapes
            that differ.
    """
    flux, hidden = _flux(spectrum)
    error = _errors(spectrum, flux.shape)
    with np.errstate(invalid="ignore"):
        bad = hidden | ~np.isfinite(flux) | ~(error > 0)
    wavelength = _wavelength(spectrum)
    if wavelength.shape != flux.shape:
        raise DataError(
            f"has shape {wavelength.shape} for {flux.shape} of flux",
            field="spectral_axis",
            remedy="give one wavelength a pixel",
        )
    one = One(wavelength, np.where(bad, 0.0, flux), np.where(bad, np.inf, error), _velocity(spectrum))
    return _rising(one)


def _rising(one: One) -> One:
    if len(one.wavelength) and one.wavelength[0] > one.wavelength[-1]:
        back = {name: getattr(one, name)[::-1].copy() for name in ("wavelength", "flux", "error")}
        return replace(one, **back, turned=True)
    return one


def _no_spectrum(found: Any) -> DataError:
    return DataError(
        f"cannot read spectra from a {type(found).__name__}",
        field="spectra",
        remedy="give a shard's path, Spectra, or specutils spectra",
    )


def _flux(spectrum: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Flux, and where it is masked, shape (P,)."""
    refuse_logarithm("flux", spectrum.flux.unit)
    flux, hidden = floats("flux", spectrum.flux.value)
    if flux.ndim != 1 or not flux.size:
        raise DataError(
            f"flux has shape {flux.shape}", field="flux", remedy="pass one-dimensional spectra with pixels"
        )
    mask = np.zeros(flux.shape, bool) if hidden is None else hidden
    if spectrum.mask is None:
        return flux.astype(np.float64), mask
    given = np.asarray(spectrum.mask)
    if given.shape not in ((), flux.shape) or given.dtype.kind not in "biu":
        raise DataError(
            f"has shape {given.shape}, type {given.dtype}, for {flux.shape} of flux",
            field="mask",
            remedy="give True for every bad pixel",
        )
    return flux.astype(np.float64), mask | given.astype(bool)


def _errors(spectrum: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Standard deviations in the flux's unit; NaN or infinite where they say nothing."""
    uncertainty = spectrum.uncertainty
    if uncertainty is None:
        raise DataError("has no errors", field="uncertainty", remedy=UNCERTAINTIES)
    power = POWERS.get(getattr(uncertainty, "uncertainty_type", ""))
    if power is None:
        raise DataError(
            f"is a {type(uncertainty).__name__}, which does not say what its numbers are",
            field="uncertainty",
            remedy=UNCERTAINTIES,
        )
    values, _ = floats("uncertainty", uncertainty.array)
    if values.shape != shape:
        raise DataError(
            f"has shape {values.shape} for {shape} of flux", field="uncertainty", remedy="give one a pixel"
        )
    factor = _factor(uncertainty.unit, spectrum.flux.unit, power)
    # Of what is not positive, no power is a standard deviation.
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        positive = np.where(values > 0, values.astype(np.float64), np.nan)
        return np.asarray(positive ** (1.0 / power) * factor)


def _factor(unit: Any, flux_unit: Any, power: float) -> float:
    """From an uncertainty's unit, its root taken, to the flux's."""
    from astropy.units import UnitConversionError

    if unit is None:
        return 1.0
    try:
        return float((unit ** (1.0 / power)).to(flux_unit))
    except (UnitConversionError, TypeError, ValueError) as error:
        raise DataError(
            f"has unit {str(unit)!r} beside a flux in {str(flux_unit)!r}",
            field="uncertainty",
            remedy="give it in the flux's unit",
        ) from error


def _wavelength(spectrum: Any) -> NDArray[np.float64]:
    from astropy.units import UnitConversionError

    try:
        return np.array(spectrum.spectral_axis.to_value("Angstrom"), np.float64)
    except (UnitConversionError, ValueError, TypeError) as error:
        raise DataError(
            f"has unit {spectrum.spectral_axis.unit}",
            field="spectral_axis",
            remedy="give wavelengths, frequencies or energies",
        ) from error


def _velocity(spectrum: Any) -> float:
    """The radial velocity that a spectrum carries, in km/s; 0 is what specutils says when it knows none."""
    velocity = getattr(spectrum, "radial_velocity", None)
    known = float(np.ravel(velocity.to_value("km/s"))[0]) if velocity is not None else 0.0
    return known if known != 0.0 else float("nan")
