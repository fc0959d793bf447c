"""A grid in its owner's words: a short TOML says where wavelength, flux and labels are, and what they mean."""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from synth2obs.core.config import Section
from synth2obs.core.errors import DataError
from synth2obs.core.unpacked import read_text
from synth2obs.io.own_grids.label_rules import LabelRule, refuse_unknown

PER_FWHM = 0.48
"""Spacing of the output's pixels in units of its FWHM, where a description does not say it."""

SAY = {
    "medium": "say air or vacuum: a medium is never guessed",
    "unit": "say Angstrom, nm or um",
    "resolving_power": 'give λ / FWHM of the input, or "raw" for spectra that nothing has broadened',
    "flux_kind": "say normalized, relative or absolute",
    "files": "name a file, or a pattern such as spectra/*.csv",
}
"""What to do about a key that is missing or wrong."""


class Envelope(Section):
    """How a running upper envelope stands in for a continuum, see `own_grids.envelope`."""

    window: float = Field(default=0.01, gt=0, lt=1, description="width of a window in ln λ")
    quantile: float = Field(default=0.98, gt=0.5, le=1, description="of the flux in a window")


class Output(Section):
    """The sampling of the shard."""

    bands: list[tuple[float, float]] = Field(min_length=1, description="ranges in vacuum Å")
    resolving_power: float = Field(gt=0, description="λ / FWHM, pixels included")
    step: float | None = Field(default=None, gt=0, description="spacing in ln λ")

    @property
    def spacing(self) -> float:
        """Spacing in ln λ; 2.1 pixels per FWHM unless the description says it."""
        return PER_FWHM / self.resolving_power if self.step is None else self.step

    @model_validator(mode="after")
    def _in_order(self) -> "Output":
        ends = [end for band in self.bands for end in band]
        if ends != sorted(set(ends)):
            raise ValueError(f"bands {self.bands} must increase and not touch, in Å")
        if not self.spacing * self.resolving_power <= 0.5:
            raise ValueError(
                f"step must be <= {0.5 / self.resolving_power:.3g} (two pixels per FWHM), got {self.step}"
            )
        return self


class Description(Section):
    """A grid in its owner's words.

    Files and patterns are relative to the description. Names are keys of a npz file, datasets of HDF5, columns or
    HDUs of FITS, columns of a text table.
    """

    name: str = Field(pattern=r"^[\w.+-]+$", description="domain of the shard; spectra are named after it")
    format: str = Field(description="a key of `own_grids.FORMATS`")
    files: str | list[str]
    medium: Literal["air", "vacuum"]
    unit: Literal["Angstrom", "nm", "um"]
    resolving_power: float | Literal["raw"]
    flux_kind: Literal["normalized", "relative", "absolute"]
    labels: dict[str, LabelRule] = Field(min_length=1, description="the project's label → the owner's column")
    wavelength: str = ""
    wavelength_file: str = Field(
        default="", description="where the wavelengths stand, if not beside the flux"
    )
    flux: str = ""
    continuum: str = Field(default="", description="by which the flux is divided")
    label_array: str = Field(default="", description="array of all labels, (spectra, labels)")
    label_columns: str | list[str] = Field(
        default=[], description="its columns, or the array that names them"
    )
    transposed: bool = Field(default=False, description="whether label_array is (labels, spectra)")
    label_table: str = Field(default="", description="text or FITS table of labels")
    file_column: str = Field(default="file", description="its column with the names of the spectra's files")
    pattern: str = Field(default="", description="regular expression with named groups, over a file's name")
    hdu: int | str = 1
    normalize: Envelope | None = None
    output: Output | None = None
    title: str = ""
    licence: str = ""
    citation: str | list[str] = []
    solar_scale: str = ""
    engine: str = ""
    line_list: str = ""
    atmospheres: str = ""

    @field_validator("labels", mode="before")
    @classmethod
    def _short_rules(cls, labels: Any) -> Any:
        if not isinstance(labels, Mapping):
            return labels
        return {name: {"column": rule} if isinstance(rule, str) else rule for name, rule in labels.items()}

    @field_validator("labels")
    @classmethod
    def _known_labels(cls, labels: dict[str, LabelRule]) -> dict[str, LabelRule]:
        refuse_unknown(labels)
        return labels

    @field_validator("resolving_power")
    @classmethod
    def _positive(cls, value: float | str) -> float | str:
        if isinstance(value, float) and not 0 < value < float("inf"):
            raise ValueError(f"must be positive, got {value}")
        return value

    @model_validator(mode="after")
    def _no_contradiction(self) -> "Description":
        if self.flux_kind == "normalized" and (self.continuum or self.normalize):
            raise ValueError("flux_kind is normalized, so continuum and normalize must be left out")
        if self.resolving_power == "raw" and self.output is None:
            raise ValueError("raw spectra need a section [output] with bands and resolving_power")
        return self

    @property
    def columns(self) -> list[str]:
        """The owner's columns that make labels, each once."""
        named = [column for rule in self.labels.values() for column in (rule.column, rule.minus)]
        return list(dict.fromkeys(column for column in named if column))

    @property
    def result_kind(self) -> str:
        """Flux kind of the shard."""
        return "normalized" if self.continuum or self.normalize else self.flux_kind


def read_tree(path: Path) -> dict[str, Any]:
    """A description as nested tables.

    Raises:
        DataError: If the file cannot be read or is not TOML.
    """
    try:
        return tomllib.loads(read_text(path))
    except tomllib.TOMLDecodeError as error:
        raise DataError(
            f"cannot be read ({error})", path=path, remedy="give a description in TOML"
        ) from error


def describe(tree: Mapping[str, Any], path: Path) -> Description:
    """A checked description.

    Raises:
        DataError: For an unknown or missing key, a wrong value, or values that contradict each other; all are named.
    """
    try:
        return Description.model_validate(dict(tree))
    except ValidationError as error:
        problems = list(dict.fromkeys(_explained(problem) for problem in error.errors()))
    if len(problems) == 1:
        field, message, remedy = problems[0]
        raise DataError(message, path=path, field=field or None, remedy=remedy)
    lines = "".join(f"\n  - {field}: {message}; {remedy}" for field, message, remedy in problems)
    raise DataError(f"{len(problems)} problems:{lines}", path=path)


def _explained(problem: Any) -> tuple[str, str, str]:
    """Field, message and remedy of what pydantic found."""
    place = [str(part) for part in problem["loc"]]
    first = place[0] if place else ""
    remedy = SAY.get(first, "see docs/own_grid.md")
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(place[-1], _keys(place[:-1]), 1)
        hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(_keys(place[:-1]))}"
        return ".".join(place), "is unknown", hint
    if problem["type"] == "missing":
        return ".".join(place), "is missing", remedy
    message = problem["msg"].removeprefix("Value error, ")
    shown = message if problem["type"] == "value_error" else f"{message}, got {problem['input']!r}"
    return ".".join(place[:1] if first in SAY else place), shown, remedy


def _keys(section: list[str]) -> list[str]:
    """Known keys of a section of the TOML."""
    sections: dict[str, type[Section]] = {"output": Output, "normalize": Envelope, "labels": LabelRule}
    return list(sections.get(section[0] if section else "", Description).model_fields)
