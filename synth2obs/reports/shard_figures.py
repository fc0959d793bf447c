"""Figures of spectra as a shard holds them: flux, errors, mask and flags, one detector a panel."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from synth2obs.core.errors import DataError, OutputError
from synth2obs.core.files import atomic_path
from synth2obs.core.spectra import Spectra
from synth2obs.io.embedded import resolve
from synth2obs.io.named_rows import read_named
from synth2obs.reports.content import fixed
from synth2obs.reports.style import COLOURS, dense, in_house_style, new_figure, note, plain, robust_limits

FORMATS = (".png", ".pdf", ".svg")

MOST_PANELS = 60
"""Detectors of all stars together that one figure holds."""

FLUX_NAMES = {
    "normalized": "flux / continuum",
    "relative": "flux (relative)",
    "absolute": "flux (as published)",
}
FLUX_HEIGHT, SNR_HEIGHT, FLAG_HEIGHT, REST_HEIGHT = 1.75, 0.6, 0.16, 0.55
"""Inches: of the panels, of a row of flags, and of what stands between detectors."""

SPIKE = 2.0
"""Flux beyond this many times the range of the central 94 % of pixels does not stretch a panel."""

GROUNDS = {"± 1 σ": (COLOURS["morph"], 0.3), "masked (ivar = 0)": (COLOURS["theory"], 0.25)}
"""Colour and opacity of what lies behind the flux."""

Range = tuple[float, float]


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


def plot_shard(
    shard: str | Path, names: Sequence[str], rows: Sequence[int], wave: str | None, out: Path | None
) -> Path:
    """Draw spectra of a shard into one file.

    Args:
        shard: Path, or ``embedded:miles``.
        names, rows: Which spectra, by ``id`` and by number from 0; the first if neither says any.
        wave: ``LOW:HIGH`` in vacuum Å; all if None.
        out: File to write; ``SHARD-ID.png`` in the working folder if None.

    Returns:
        The file.

    Raises:
        DataError: If the shard breaks a rule, lacks a spectrum, or has no pixel in the range.
        OutputError: If the file cannot be written.
    """
    path = resolve(shard)
    limits = parse_range(wave)
    spectra = read_named(path, names, rows if names or rows else [0])
    target = out or Path(default_name(path, spectra.id.tolist()))
    refuse_format(target)
    try:
        figure = shard_figure(spectra, limits)
    except DataError as error:
        raise DataError(str(error), path=path) from error
    write_figure(figure, target)
    return target


def parse_range(text: str | None) -> Range | None:
    """First and last wavelength of ``LOW:HIGH``; None for None.

    Raises:
        DataError: If they are no two increasing numbers.
    """
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError:
        low, high = np.inf, -np.inf
    if not low < high:
        raise DataError(f"got {text!r}", field="--wave", remedy="write LOW:HIGH in Å, e.g. 6500:6600")
    return low, high


def default_name(path: Path, ids: Sequence[str]) -> str:
    """Name of a figure: the shard, and the spectrum or how many there are."""
    shown = re.sub(r"[^\w.+-]+", "_", ids[0]) if len(ids) == 1 else f"{len(ids)}-spectra"
    return f"{path.stem}-{shown}{FORMATS[0]}"


def refuse_format(out: Path) -> None:
    """Refuse a name whose ending says no format of a figure.

    Raises:
        OutputError: Naming the endings.
    """
    if out.suffix.lower() not in FORMATS:
        raise OutputError(f"{out}: cannot tell the format; end the name with {', '.join(FORMATS)}")


def shard_figure(spectra: Spectra, wave: Range | None = None) -> Figure:
    """Every spectrum of a table, with its mask, errors and flags.

    Detectors have panels of their own; within one, no line crosses a bad pixel.

    Args:
        spectra: The spectra to show.
        wave: First and last wavelength in vacuum Å; all if None.

    Raises:
        DataError: If a spectrum has no pixel between the two, or there are more panels than a figure holds.
    """
    stars = [detectors(spectra, row, wave) for row in range(len(spectra))]
    panels = sum(map(len, stars))
    if panels > MOST_PANELS:
        raise DataError(
            f"{panels} detectors to show, {MOST_PANELS} at most", remedy="ask for fewer spectra or say --wave"
        )
    heights = [0.6 + sum(one.height for one in star) for star in stars]
    with in_house_style():
        figure = new_figure(sum(heights))
        for row, part in enumerate(figure.subfigures(len(stars), 1, height_ratios=heights, squeeze=False)):
            part[0].suptitle(plain(title(spectra, row)), fontsize=10, fontweight="bold", x=0.01, ha="left")
            _draw_star(part[0], stars[row], spectra)
    return figure


def write_figure(figure: Figure, out: Path) -> None:
    """Write a figure, atomically; the ending of the name says the format.

    Raises:
        OutputError: For another ending than those in `FORMATS`, or if the file cannot be written.
    """
    refuse_format(out)
    with in_house_style(), atomic_path(out) as temporary:
        figure.savefig(temporary)


def title(spectra: Spectra, row: int) -> str:
    """Name, signal to noise, velocity, medium and frame of a spectrum."""
    parts = [f"{spectra.id[row]} ({spectra.domain})"]
    if np.isfinite(spectra.snr[row]):
        parts.append(f"S/N {spectra.snr[row]:.0f}")
    parts += _velocities(spectra, row)
    air = f" (from air, {spectra.air_formula})" if spectra.air_formula else ""
    parts.append(f"vacuum{air}, {spectra.frame} frame")
    return " · ".join(parts)


def _velocities(spectra: Spectra, row: int) -> list[str]:
    """Velocity of the spectrum in its own frame, and the published one where the spectrum is at rest."""
    texts = []
    if np.isfinite(spectra.rv[row]):
        error = float(spectra.rv_error[row])
        spread = f" ± {fixed(error, 2)}" if np.isfinite(error) else ""
        texts.append(f"rv {fixed(float(spectra.rv[row]), 2)}{spread} km/s")
    published = float(spectra.native["rv"][row]) if "rv" in spectra.native else np.nan
    if spectra.frame == "rest" and np.isfinite(published):
        texts.append(f"published {fixed(published, 2)} km/s")
    return texts or ["rv unknown"]


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


def _draw_star(part: SubFigure, star: Sequence[Detector], spectra: Spectra) -> None:
    kinds = [_kinds(detector) for detector in star]
    heights = [height for kind in kinds for _, height in kind]
    panels = iter(part.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
    for detector, kind in zip(star, kinds, strict=True):
        axes = [next(panels) for _ in kind]
        for one, (draw, _) in zip(axes, kind, strict=True):
            draw(one, detector)
            one.set_xlim(*_limits(detector.wavelength))
        for upper in axes[:-1]:
            upper.tick_params(labelbottom=False)
        axes[0].set_ylabel(FLUX_NAMES[spectra.flux_kind])
    axes[-1].set_xlabel(f"vacuum wavelength, {spectra.frame} frame (Å)")
    part.align_ylabels()
    if star[0].sigma is not None:
        meanings = [Patch(color=colour, alpha=alpha, label=text) for text, (colour, alpha) in GROUNDS.items()]
        part.legend(handles=meanings, loc="outside lower right", ncols=len(meanings), borderpad=0.0)


def _kinds(detector: Detector) -> list[tuple[Any, float]]:
    """Panels of a detector: how each is drawn, and its height in inches."""
    kinds: list[tuple[Any, float]] = [(_flux_panel, FLUX_HEIGHT)]
    if detector.sigma is not None:
        kinds.append((_snr_panel, SNR_HEIGHT))
    if detector.flags:
        kinds.append((_flag_panel, FLAG_HEIGHT * len(detector.flags)))
    return kinds


def _limits(wavelength: NDArray[Any]) -> Range:
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
    """Limits that hold every line but not a residual of the sky many times as high as the star."""
    finite = flux[np.isfinite(flux)]
    if not finite.size:
        return 0.0, 1.0
    low, high = robust_limits(finite, reach=97.0, margin=SPIKE)
    inside = finite[(finite >= low) & (finite <= high)]
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
