"""Panels of one star on one detector: flux with errors and mask, signal to noise, a row for every flag."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.spectra import Spectra
from synth2obs.reports.style import COLOURS, dense, note, plain, robust_limits

FLUX_HEIGHT, SNR_HEIGHT, FLAG_HEIGHT, REST_HEIGHT = 1.75, 0.6, 0.16, 0.55
"""Inches: of the panels, of a row of flags, and of what stands between detectors."""

SPIKE = 2.0
"""Flux beyond this many times the range of the central 94 % of pixels does not stretch a panel."""

GROUNDS = {"± 1 σ": (COLOURS["morph"], 0.3), "masked (ivar = 0)": (COLOURS["theory"], 0.25)}
"""Colour and opacity of what lies behind the flux."""

Range = tuple[float, float]
Draw = Callable[[Axes, "Detector"], None]


@dataclass(frozen=True)
class Detector:
    """What is shown of one star on one detector. P pixels.

    Args:
        wavelength: Vacuum Å, shape (P,).
        flux: NaN in bad pixels, so that no line crosses them, shape (P,).
        sigma: Standard deviation, NaN in bad pixels, shape (P,); None for a grid.
        flags: Pixels with each bit that is set anywhere, by the bit's name, shape (P,) each.
    """

    wavelength: NDArray[Any]
    flux: NDArray[Any]
    sigma: NDArray[Any] | None
    flags: dict[str, NDArray[np.bool_]]

    @property
    def height(self) -> float:
        """Inches that its panels take."""
        below = SNR_HEIGHT * (self.sigma is not None) + FLAG_HEIGHT * len(self.flags)
        return FLUX_HEIGHT + below + REST_HEIGHT


def detectors(spectra: Spectra, row: int, wave: Range | None) -> list[Detector]:
    """What is shown of one spectrum, detector by detector; those outside the range are left out.

    Raises:
        DataError: If no pixel is in the range.
    """
    axis = spectra.wavelength if spectra.shared_wavelength else spectra.wavelength[row]
    low, high = wave or (-np.inf, np.inf)
    near = (axis >= low) & (axis <= high)
    if not near.any():
        raise DataError(
            f"{spectra.id[row]} has no pixel from {low:g} to {high:g} Å",
            field="--wave",
            remedy=f"it covers {axis.min():.2f} to {axis.max():.2f} Å (vacuum)",
        )
    order = dict.fromkeys(spectra.segment[near].tolist())
    return [_detector(spectra, row, axis, near & (spectra.segment == number)) for number in order]


def _detector(spectra: Spectra, row: int, axis: NDArray[Any], here: NDArray[np.bool_]) -> Detector:
    flux = spectra.flux[row, here].astype(np.float64)
    if spectra.ivar is None:
        return Detector(axis[here], flux, None, {})
    ivar = spectra.ivar[row, here].astype(np.float64)
    good = ivar > 0
    sigma = np.where(good, 1.0 / np.sqrt(np.where(good, ivar, 1.0)), np.nan)
    return Detector(axis[here], np.where(good, flux, np.nan), sigma, _flags(spectra, row, here))


def _flags(spectra: Spectra, row: int, here: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    if spectra.flags is None:
        return {}
    bits = spectra.flags[row, here]
    found = {}
    for bit in range(32):
        pixels = (bits >> np.uint32(bit)) & np.uint32(1) > 0
        if pixels.any():
            found[spectra.flag_names.get(bit, f"bit {bit}")] = pixels
    return found


def panels(detector: Detector) -> list[tuple[Draw, float]]:
    """Panels of a detector: how each is drawn, and its height in inches."""
    kinds: list[tuple[Draw, float]] = [(_flux_panel, FLUX_HEIGHT)]
    if detector.sigma is not None:
        kinds.append((_snr_panel, SNR_HEIGHT))
    if detector.flags:
        kinds.append((_flag_panel, FLAG_HEIGHT * len(detector.flags)))
    return kinds


def limits(wavelength: NDArray[Any]) -> Range:
    """Ends of a panel in Å: a pixel beyond the first and the last."""
    step = float(np.median(np.diff(wavelength))) if len(wavelength) > 1 else 1.0
    return float(wavelength[0]) - step, float(wavelength[-1]) + step


def _flux_panel(axes: Axes, detector: Detector) -> None:
    x, y = detector.wavelength, detector.flux
    flat = dense(x)
    if detector.sigma is not None:
        low, high = y - detector.sigma, y + detector.sigma
        colour, alpha = GROUNDS["± 1 σ"]
        axes.fill_between(x, low, high, color=colour, alpha=alpha, lw=0, rasterized=flat, step="mid")
        _shade(axes, x, np.isnan(y), *GROUNDS["masked (ivar = 0)"])
    axes.plot(x, y, color=COLOURS["observed"], lw=0.7, drawstyle="steps-mid", rasterized=flat)
    low, high = _flux_limits(y)
    axes.set_ylim(low, high)
    beyond = int(((y < low) | (y > high)).sum())
    if not np.isfinite(y).any():
        note(axes, "every pixel is masked")
    elif beyond:
        note(axes, f"{beyond} pixel{'s' if beyond > 1 else ''} beyond the panel")


def _flux_limits(flux: NDArray[Any]) -> Range:
    """Limits that hold every absorption line, but not a residual of the sky many times as high as the star."""
    finite = flux[np.isfinite(flux)]
    if not finite.size:
        return 0.0, 1.0
    low, high = robust_limits(finite, reach=97.0, margin=SPIKE)
    inside = finite[(finite >= min(low, 0.0)) & (finite <= high)]
    return robust_limits(inside, reach=100.0, margin=0.05)


def _snr_panel(axes: Axes, detector: Detector) -> None:
    assert detector.sigma is not None
    snr = detector.flux / detector.sigma
    axes.plot(detector.wavelength, snr, color=COLOURS["morph"], lw=0.6, rasterized=dense(snr))
    axes.set_ylim(min(0.0, robust_limits(snr)[0]), robust_limits(snr, reach=99.9)[1])
    axes.set_ylabel("S/N")


def _flag_panel(axes: Axes, detector: Detector) -> None:
    """A row for every flag that is set, marked where it is."""
    for number, pixels in enumerate(detector.flags.values()):
        bottom = 1.0 - (number + 0.85) / len(detector.flags)
        _shade(axes, detector.wavelength, pixels, COLOURS["observed"], 0.8, bottom, 0.7 / len(detector.flags))
    axes.set_ylim(0.0, 1.0)
    axes.set_yticks([1.0 - (number + 0.5) / len(detector.flags) for number in range(len(detector.flags))])
    axes.set_yticklabels([plain(name) for name in detector.flags], fontsize=6.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)


def _shade(
    axes: Axes,
    x: NDArray[Any],
    pixels: NDArray[np.bool_],
    colour: str,
    alpha: float,
    bottom: float = 0.0,
    height: float = 1.0,
) -> None:
    """Mark runs of pixels over a part of the panel's height, from pixel edge to pixel edge."""
    steps = np.gradient(x) if len(x) > 1 else np.ones(1)
    edges = np.diff(np.concatenate([[0], pixels.astype(np.int8), [0]]))
    first, last = np.nonzero(edges == 1)[0], np.nonzero(edges == -1)[0] - 1
    starts, stops = x[first] - 0.5 * steps[first], x[last] + 0.5 * steps[last]
    axes.broken_barh(
        list(zip(starts, stops - starts, strict=True)),
        (bottom, height),
        transform=axes.get_xaxis_transform(),
        facecolors=colour,
        edgecolors=colour,
        alpha=alpha,
        # A single pixel of thousands would be thinner than a dot of the screen.
        lw=0.3,
        rasterized=True,
    )
