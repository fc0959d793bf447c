"""An instrument as its pixels and line spread."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.shown import Shown, Summary
from synth2obs.io.air import air_to_vacuum
from synth2obs.io.instruments.settings import ANGSTROM, InstrumentSettings, SegmentSettings

Array = NDArray[np.float64]


@dataclass(frozen=True, repr=False, eq=False)
class InstrumentDescription(Shown):
    """Pixels and resolving power of an instrument, without any star. P pixels.

    Args:
        name: By which `instrument` and `morph` know it.
        title: For people.
        wavelength: Pixel centres in vacuum Å, shape (P,); they increase within a segment, and segments may overlap.
        segment: Detector, or stretch of it without a hole, of each pixel, shape (P,).
        line_spread: Gaussian σ in Å at the pixels, their own width not included.
        resolving_power: λ / FWHM as the description states it, shape (P,).
        medium: ``air`` or ``vacuum``: in which the description states its wavelengths.
        source: Where the numbers are from.
        assumed: What the source does not say; empty if nothing was.
    """

    name: str
    title: str
    wavelength: Array
    segment: NDArray[np.int64]
    line_spread: LineSpread = field(repr=False)
    resolving_power: Array
    medium: str
    source: str
    assumed: str = ""

    def summary(self) -> Summary:
        """What is shown of it."""
        rows = {
            "wavelength": f"{', '.join(self.ranges)} Å, vacuum (stated in {self.medium})",
            "pixels": f"{len(self.wavelength)} in {len(self.ranges)} segments",
            "R": self.power_in_words,
            "source": self.source,
            "assumed": self.assumed,
        }
        then = f'synth2obs.morph(bridge, labels={{"teff": 5777}}, instrument="{self.name}")'
        return Summary(
            f"{self.name}: {self.title or 'an instrument'}", {k: v for k, v in rows.items() if v}, then
        )

    def facts(self) -> dict[str, str | int]:
        """Its row of `synth2obs.instruments`."""
        return {
            "name": self.name,
            "title": self.title,
            "wavelength": ", ".join(self.ranges),
            "pixels": len(self.wavelength),
            "resolving_power": self.power_in_words,
            "medium": self.medium,
            "source": self.source,
            "assumed": self.assumed,
        }

    @property
    def ranges(self) -> tuple[str, ...]:
        """First and last wavelength of every segment in vacuum Å, in words."""
        parts = (self.wavelength[self.segment == number] for number in np.unique(self.segment))
        return tuple(f"{part[0]:.0f}–{part[-1]:.0f}" for part in parts)

    @property
    def power_in_words(self) -> str:
        """The resolving power, or its range."""
        low, high = (f"{end:.0f}" for end in (self.resolving_power.min(), self.resolving_power.max()))
        return low if low == high else f"{low}–{high}"


def describe(settings: InstrumentSettings) -> InstrumentDescription:
    """The instrument that a description means."""
    parts = [_segment(part, settings) for part in settings.segments]
    wavelength, sigma, power = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    segment = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    return InstrumentDescription(
        name=settings.name,
        title=settings.title,
        wavelength=wavelength,
        segment=segment,
        line_spread=LineSpread.single(sigma),
        resolving_power=power,
        medium=settings.medium,
        source=settings.source,
        assumed=settings.assumed,
    )


def _segment(part: SegmentSettings, settings: InstrumentSettings) -> tuple[Array, Array, Array]:
    """Vacuum wavelength in Å, σ in Å and R of the pixels of a segment."""
    stated = part.wavelength()
    fwhm, scale = part.width(stated), ANGSTROM[settings.unit]
    own = np.gradient(stated) if settings.pixels_included else np.zeros(len(stated))
    sigma = np.sqrt((fwhm / FWHM_PER_SIGMA) ** 2 - own**2 / 12.0) * scale
    wavelength = stated * scale
    if settings.medium == "air":
        wavelength = air_to_vacuum(wavelength)
    return wavelength, sigma, stated / fwhm
