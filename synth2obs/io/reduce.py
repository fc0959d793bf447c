"""Make a table of spectra smaller: a range of wavelengths, and fewer digits."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.spectra import Gradients, Spectra

FLUX_BITS = 14
IVAR_BITS = 8
WAVELENGTH_BITS = 32
"""Mantissa bits kept: relative errors of at most 3.1e-5, 0.2 % and 1.2e-10 (0.03 m/s)."""

GRADIENT_STEP = 2.0**-12
"""Gradients are kept in steps of this fraction of a label's largest; synthesis codes print no more digits."""

ROUNDING = (
    f"flux rounded to {FLUX_BITS} mantissa bits (relative error <= {2.0 ** -(FLUX_BITS + 1):.1e}), "
    f"ivar to {IVAR_BITS} (<= {2.0 ** -(IVAR_BITS + 1):.1e}), "
    f"wavelengths of single stars to {WAVELENGTH_BITS} (<= {2.0 ** -(WAVELENGTH_BITS + 1):.1e})"
)
"""What `round_spectra` does, for the provenance."""


def round_mantissa(values: NDArray[np.floating], bits: int) -> NDArray[np.floating]:
    """Round to a number of mantissa bits, so that the remaining bits are zero and compress away.

    Args:
        values: float32 or float64, any shape.
        bits: Explicit mantissa bits to keep; the relative error is at most 2^-(bits + 1).
    """
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.rint(np.ldexp(mantissa, bits + 1)), exponent - bits - 1).astype(values.dtype)


def round_spectra(spectra: Spectra) -> Spectra:
    """The same spectra with as many bits as `ROUNDING` says, and a provenance that says so."""
    ivar = spectra.ivar
    shared = spectra.shared_wavelength
    return replace(
        spectra,
        flux=round_mantissa(spectra.flux.astype(np.float32), FLUX_BITS),
        ivar=None if ivar is None else round_mantissa(ivar.astype(np.float32), IVAR_BITS),
        wavelength=spectra.wavelength if shared else round_mantissa(spectra.wavelength, WAVELENGTH_BITS),
        gradients=None if spectra.gradients is None else _round_gradients(spectra.gradients),
        provenance={**spectra.provenance, "rounding": ROUNDING},
    )


def _round_gradients(gradients: Gradients) -> Gradients:
    """Gradients in steps of a fraction of each label's largest."""
    steps = {name: np.abs(rows).max() * GRADIENT_STEP or 1.0 for name, rows in gradients.values.items()}
    values = {
        name: (np.rint(rows / steps[name]) * steps[name]).astype(np.float32)
        for name, rows in gradients.values.items()
    }
    return replace(gradients, values=values)


def cut_wavelengths(spectra: Spectra, start: float, stop: float) -> Spectra:
    """The pixels that lie within ``start`` to ``stop`` (vacuum Å) for every star.

    Raises:
        DataError: If none does.
    """
    inside = (spectra.wavelength >= start) & (spectra.wavelength <= stop)
    keep = inside if spectra.shared_wavelength else inside.all(axis=0)
    if not keep.any():
        raise DataError(
            f"no pixel between {start} and {stop} Å (vacuum)",
            field="wavelength",
            remedy=f"the spectra cover {spectra.wavelength.min():.1f} to {spectra.wavelength.max():.1f} Å",
        )
    return replace(
        spectra,
        wavelength=spectra.wavelength[..., keep],
        segment=spectra.segment[keep],
        flux=spectra.flux[:, keep],
        ivar=None if spectra.ivar is None else spectra.ivar[:, keep],
        flags=None if spectra.flags is None else spectra.flags[:, keep],
        line_spread=spectra.line_spread.cut(keep),
        gradients=None if spectra.gradients is None else spectra.gradients.cut(keep),
    )
