"""Make a table of spectra smaller: a range of wavelengths, and fewer digits."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.spectra import Gradients, Spectra

FLUX_BITS, GRID_BITS = 14, 12
IVAR_BITS = 8
WAVELENGTH_BITS = 32
"""Mantissa bits kept of a survey's flux and a grid's, of inverse variances and of wavelengths: relative errors of at
most 3.1e-5, 1.2e-4, 0.2 % and 1.2e-10 (0.03 m/s)."""

GRADIENT_BITS = 11
"""Gradients are kept in steps of a power of two, of which this many doublings reach a label's largest."""


def rounding(kind: str) -> str:
    """What `round_spectra` does to a grid or a survey, for the provenance."""
    bits = _flux_bits(kind)
    return (
        f"flux rounded to {bits} mantissa bits (relative error <= {2.0 ** -(bits + 1):.1e}), "
        f"ivar to {IVAR_BITS} (<= {2.0 ** -(IVAR_BITS + 1):.1e}), "
        f"wavelengths of single stars to {WAVELENGTH_BITS} (<= {2.0 ** -(WAVELENGTH_BITS + 1):.1e})"
    )


def _flux_bits(kind: str) -> int:
    return GRID_BITS if kind == "grid" else FLUX_BITS


def round_mantissa(values: NDArray[np.floating], bits: int) -> NDArray[np.floating]:
    """Round to a number of mantissa bits, so that the remaining bits are zero and compress away.

    Args:
        values: float32 or float64, any shape.
        bits: Explicit mantissa bits to keep; the relative error is at most 2^-(bits + 1).
    """
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.rint(np.ldexp(mantissa, bits + 1)), exponent - bits - 1).astype(values.dtype)


def round_spectra(spectra: Spectra) -> Spectra:
    """The same spectra with as many bits as `rounding` says, and a provenance that says so."""
    ivar = spectra.ivar
    shared = spectra.shared_wavelength
    return replace(
        spectra,
        flux=round_mantissa(spectra.flux.astype(np.float32), _flux_bits(spectra.kind)),
        ivar=None if ivar is None else round_mantissa(ivar.astype(np.float32), IVAR_BITS),
        wavelength=spectra.wavelength if shared else round_mantissa(spectra.wavelength, WAVELENGTH_BITS),
        gradients=None if spectra.gradients is None else _round_gradients(spectra.gradients),
        provenance={**spectra.provenance, "rounding": rounding(spectra.kind)},
    )


def _round_gradients(gradients: Gradients) -> Gradients:
    values = {name: _round_to_step(rows) for name, rows in gradients.values.items()}
    return replace(gradients, values=values)


def _round_to_step(rows: NDArray[np.floating]) -> NDArray[np.float32]:
    """Rows in steps of the power of two that lies `GRADIENT_BITS` doublings below their largest."""
    largest = float(np.abs(rows).max())
    if largest == 0.0:
        return rows.astype(np.float32)
    step = 2.0 ** (np.ceil(np.log2(largest)) - GRADIENT_BITS)
    return (np.rint(rows / step) * step).astype(np.float32)


def cut_wavelengths(spectra: Spectra, start: float, stop: float) -> Spectra:
    """The pixels that lie within ``start`` to ``stop`` (vacuum Å) for every star.

    Raises:
        DataError: If none does.
    """
    inside = (spectra.wavelength >= start) & (spectra.wavelength <= stop)
    keep: NDArray[np.bool_] = np.logical_and.reduce(np.atleast_2d(inside))
    if not keep.any():
        raise DataError(
            f"no pixel between {start} and {stop} Å (vacuum)",
            field="wavelength",
            remedy=f"the spectra cover {spectra.wavelength.min():.1f} to {spectra.wavelength.max():.1f} Å",
        )
    return spectra.cut(keep)
