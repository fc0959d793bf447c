"""Figures of spectra as a shard holds them: flux, errors, mask and flags, one detector a panel."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch

from synth2obs.core.errors import DataError, OutputError
from synth2obs.core.files import atomic_path, refuse_overwriting
from synth2obs.core.spectra import Spectra
from synth2obs.core.text import file_part
from synth2obs.io.embedded import resolve
from synth2obs.io.named_rows import read_named
from synth2obs.reports.content import fixed
from synth2obs.reports.detector_panels import GROUNDS, Detector, Range, detectors, limits, panels
from synth2obs.reports.style import in_house_style, new_figure, plain

FORMATS = (".png", ".pdf", ".svg")

MOST_PANELS = 60
"""Detectors of all stars together that one figure holds."""

FLUX_NAMES = {
    "normalized": "flux / continuum",
    "relative": "flux (relative)",
    "absolute": "flux (as published)",
}


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
    ends = parse_range(wave)
    spectra = read_named(path, names, rows if names or rows else [0])
    target = out or Path(default_name(path, spectra.id.tolist()))
    refuse_format(target)
    refuse_overwriting(target, [path])
    try:
        figure = shard_figure(spectra, ends)
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
    shown = file_part(ids[0]) if len(ids) == 1 else f"{len(ids)}-spectra"
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
    count = sum(map(len, stars))
    if count > MOST_PANELS:
        raise DataError(
            f"{count} detectors to show, {MOST_PANELS} at most", remedy="ask for fewer spectra or say --wave"
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


def _draw_star(part: SubFigure, star: Sequence[Detector], spectra: Spectra) -> None:
    kinds = [panels(detector) for detector in star]
    heights = [height for kind in kinds for _, height in kind]
    axes_left = iter(part.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
    for detector, kind in zip(star, kinds, strict=True):
        axes = [next(axes_left) for _ in kind]
        for one, (draw, _) in zip(axes, kind, strict=True):
            draw(one, detector)
            one.set_xlim(*limits(detector.wavelength))
        for upper in axes[:-1]:
            upper.tick_params(labelbottom=False)
        axes[0].set_ylabel(FLUX_NAMES[spectra.flux_kind])
    axes[-1].set_xlabel(f"vacuum wavelength, {spectra.frame} frame (Å)")
    part.align_ylabels()
    if star[0].sigma is not None:
        meanings = [Patch(color=colour, alpha=alpha, label=text) for text, (colour, alpha) in GROUNDS.items()]
        part.legend(handles=meanings, loc="outside lower right", ncols=len(meanings), borderpad=0.0)
