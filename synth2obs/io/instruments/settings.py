"""What a description of an instrument may say; each is a TOML, those of the package in ``data/instruments/``."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from synth2obs.core.config import Section
from synth2obs.core.names import name_problem

Array = NDArray[np.float64]
Table = float | list[tuple[float, float]]

ANGSTROM = {"Angstrom": 1.0, "nm": 10.0, "um": 1e4}
"""Å in the units that a description may use."""

STEPS = ("step", "log_step", "log10_step")
MOST_PIXELS = 1_000_000
LONGEST, SHORTEST = 1e6, 2000.0
"""Å. What a shard may hold, too."""

SAMPLED = 2.0
"""Pixels per FWHM below which lines are undersampled (Nyquist)."""

ROUNDING = 1e-6
SLACK = 0.01
"""Relative excess over the limits of R that passes as rounding."""


class SegmentSettings(Section):
    """One detector, or one stretch of it without a hole; lengths in the description's unit."""

    range: tuple[float, float] = Field(description="first and last wavelength, pixel centres")
    step: float | None = Field(default=None, gt=0, description="spacing of the pixels")
    log_step: float | None = Field(default=None, gt=0, lt=0.1, description="spacing in ln λ instead")
    log10_step: float | None = Field(default=None, gt=0, lt=0.1, description="spacing in log10 λ instead")
    resolving_power: Table | None = Field(
        default=None, description="λ / FWHM; a number, or [[λ, R], …] that are joined by lines"
    )
    fwhm: Table | None = Field(default=None, description="instead of it, likewise")

    @field_validator("resolving_power", "fwhm")
    @classmethod
    def _positive_and_in_order(cls, table: Table | None) -> Table | None:
        rows = [(1.0, table)] if isinstance(table, float) else table or []
        if table is not None and not all(np.isfinite(value) and value > 0 for _, value in rows):
            raise ValueError("must be positive and finite")
        places = [place for place, _ in rows]
        if places != sorted(set(places)) or (table is not None and not rows):
            raise ValueError("wavelengths of the table must increase")
        return table

    @model_validator(mode="after")
    def _one_of_each(self) -> "SegmentSettings":
        low, high = self.range
        if not (np.isfinite(high) and 0 < low < high):
            raise ValueError(f"range must increase, got {low:g} to {high:g}")
        for names in (STEPS, ("resolving_power", "fwhm")):
            given = [name for name in names if getattr(self, name) is not None]
            if len(given) != 1:
                raise ValueError(f"give one of {', '.join(names)}, got {', '.join(given) or 'none'}")
        if not 2 <= self.count <= MOST_PIXELS:
            raise ValueError(f"{self.count} pixels between {low:g} and {high:g}, must be 2 to {MOST_PIXELS}")
        return self

    @property
    def _spacing(self) -> tuple[float, float]:
        """First coordinate and spacing, linear or in ln λ."""
        if self.step is not None:
            return self.range[0], self.step
        return float(np.log(self.range[0])), self.log_step or (self.log10_step or 0.0) * float(np.log(10.0))

    @property
    def count(self) -> int:
        """Number of pixels."""
        start, spacing = self._spacing
        stop = self.range[1] if self.step is not None else float(np.log(self.range[1]))
        return int((stop - start) / spacing + ROUNDING) + 1

    def wavelength(self) -> Array:
        """Pixel centres in the description's unit and medium, shape (P,)."""
        start, spacing = self._spacing
        place = start + spacing * np.arange(self.count)
        return np.asarray(place if self.step is not None else np.exp(place), np.float64)

    def width(self, wavelength: Array) -> Array:
        """FWHM at these wavelengths, in their unit, shape (P,)."""
        if self.fwhm is not None:
            return _at(self.fwhm, wavelength)
        assert self.resolving_power is not None
        return wavelength / _at(self.resolving_power, wavelength)


class InstrumentSettings(Section):
    """An instrument as a TOML says it."""

    name: str = Field(description="by which it is called")
    title: str = Field(default="", description="for people")
    medium: Literal["air", "vacuum"] = Field(description="of all wavelengths here; never guessed")
    unit: Literal["Angstrom", "nm", "um"] = Field(description="of all wavelengths, steps and widths here")
    pixels_included: bool = Field(
        default=True, description="whether R counts the pixels' own width, as arc lines show it"
    )
    limits: tuple[float, float] | None = Field(
        default=None, description="smallest and largest R there may be, as the source has it; checked"
    )
    source: str = Field(min_length=1, description="paper, manual or measurement")
    assumed: str = Field(default="", description="what the source does not say")
    undersampled: str = Field(
        default="", description="why there are fewer than two pixels per FWHM, where there are"
    )
    segments: list[SegmentSettings] = Field(min_length=1)

    @field_validator("name")
    @classmethod
    def _can_be_a_name(cls, name: str) -> str:
        if problem := name_problem(name):
            raise ValueError(problem)
        return name

    @model_validator(mode="after")
    def _sound(self) -> "InstrumentSettings":
        scale = ANGSTROM[self.unit]
        for number, part in enumerate(self.segments):
            low, high = (end * scale for end in part.range)
            if not SHORTEST <= low < high <= LONGEST:
                raise ValueError(f"segment {number} spans {low:g} to {high:g} Å; is {self.unit} the unit?")
            self._check_widths(number, part)
        starts = [part.range[0] for part in self.segments]
        if starts != sorted(set(starts)):
            raise ValueError(f"segments must begin at increasing wavelengths, got {starts}")
        return self

    def _check_widths(self, number: int, part: SegmentSettings) -> None:
        wavelength = part.wavelength()
        fwhm, pixel = part.width(wavelength), np.gradient(wavelength)
        fewest = float((fwhm / pixel).min())
        if fewest < SAMPLED and not self.undersampled:
            raise ValueError(
                f"segment {number} has {fewest:.2f} pixels per FWHM, fewer than two; say why in undersampled"
            )
        if self.pixels_included and not (fwhm > pixel).all():
            raise ValueError(f"segment {number}: the FWHM, pixels included, is no wider than a pixel")
        if self.limits is not None:
            low, high = self.limits
            found = float((wavelength / fwhm).min()), float((wavelength / fwhm).max())
            if found[0] < low * (1 - SLACK) or found[1] > high * (1 + SLACK):
                raise ValueError(
                    f"segment {number} has R = {found[0]:.0f} to {found[1]:.0f}, beyond its limits {low:g} to {high:g}"
                )


def _at(table: Table, wavelength: Array) -> Array:
    """A number, or a table between its entries and constant beyond, at wavelengths."""
    if isinstance(table, list):
        places, values = np.array(table).T
        return np.interp(wavelength, places, values)
    return np.full(len(wavelength), float(table))
