"""What a recipe says about engines, lines and wavelengths."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator, model_validator

from synth2obs.core.config import Section

Medium = Literal["air", "vacuum"]
Range = tuple[float, float]
Step = Annotated[float, Field(gt=0.0, le=1.0)]


class OverlayConfig(Section):
    """Corrections of a line list's log gf."""

    file: str = Field(description="written by `synth2obs gap --overlay`")
    sha256: str = Field(description="of its content")


class LineListConfig(Section):
    """One list of lines."""

    file: str = Field(description="a path, or `package:file` of an installed engine's data")
    medium: Medium = Field(description="of its wavelengths; never guessed")
    format: Literal["turbospectrum", "moog"] = Field(default="turbospectrum", description="of the file")
    range: Range = Field(description="wavelengths that are used, Å in the list's medium")
    species: tuple[str, ...] | None = Field(
        default=None, description="molecules or elements that are used, e.g. `CH`; all if left out"
    )
    damping: str | None = Field(
        default=None,
        description="table of van der Waals damping, `package:file`; Unsöld's formula if left out",
    )
    faintest: float | None = Field(
        default=None,
        description="lines weaker than this are left out: log gf − χ·5040/4500 + A(X) − A(Fe), molecules without A; "
        "all stay if left out",
    )
    overlay: OverlayConfig | None = Field(
        default=None, description="`file` and `sha256` of corrections of its log gf; `--overlay` fills it in"
    )

    @field_validator("range")
    @classmethod
    def _increasing(cls, value: Range) -> Range:
        if not 1000.0 <= value[0] < value[1] <= 1e6:
            raise ValueError(f"range must be two increasing wavelengths in Å, got {list(value)}")
        return value


class EngineConfig(Section):
    """The synthesis code and what it is given."""

    name: Literal["turbospectrum", "pysme"] = Field(default="turbospectrum", description="of the engine")
    solar_scale: Literal["grevesse2007", "asplund2009"] = Field(
        default="grevesse2007", description="A(X) that abundances are relative to"
    )
    time_limit: PositiveFloat = Field(default=600.0, description="seconds for one spectrum")
    isotopes: dict[str, dict[int, float]] = Field(
        default_factory=dict, description="fractions by element and mass number; solar if left out"
    )
    vmic: PositiveFloat = Field(default=1.0, description="km/s, where the labels have no vmic")


class SpectrumConfig(Section):
    """Wavelengths that are synthesised."""

    bands: tuple[Range, ...] = Field(min_length=1, description="ranges in Å, in `medium`")
    medium: Medium = Field(description="of `bands`")
    step: Step | tuple[Step, ...] = Field(default=0.05, description="Å; of all bands, or one for each")

    @property
    def steps(self) -> tuple[float, ...]:
        """Step of every band in Å."""
        return self.step if isinstance(self.step, tuple) else (self.step,) * len(self.bands)

    @model_validator(mode="after")
    def _ordered(self) -> "SpectrumConfig":
        edges = [edge for band in self.bands for edge in band]
        if any(b <= a for a, b in zip(edges, edges[1:], strict=False)):
            raise ValueError(
                f"bands must increase and not overlap, got {[list(band) for band in self.bands]}"
            )
        if len(self.steps) != len(self.bands):
            raise ValueError(
                f"step must be one number or one for each of {len(self.bands)} bands, got {len(self.steps)}"
            )
        return self


class OutputConfig(Section):
    """The grid that is written: constant resolving power, uniform in ln λ."""

    resolving_power: PositiveFloat = Field(description="λ / FWHM, pixels included")
    step: PositiveFloat = Field(description="pixel in ln λ; at least two for each FWHM")


class GridConfig(Section):
    """What the grid is called and how many spectra it has."""

    domain: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$", description="name of the grid")
    spectra: PositiveInt = Field(description="how many are computed")
    title: str = Field(default="", description="for people")
    licence: str = Field(default="", description="of the spectra")
    citation: tuple[str, ...] = Field(default=(), description="what to cite")
