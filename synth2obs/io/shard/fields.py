"""The format as data: every dataset of a shard. Writer, merger, reader and checker go by this table."""

from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.spectra import Spectra

ALWAYS, SURVEY, OPTIONAL = "always", "survey", "optional"
"""When a dataset must be there; what a survey needs, a grid may not have."""

FLOAT, INTEGER, TEXT = "floating point", "integers", "text"
CODES = {FLOAT: "f", INTEGER: "iu", TEXT: "SO"}
"""Kinds of type, and NumPy's codes of those that a file may have."""

STARS, PIXELS, GROUPS = "stars", "pixels", "groups"
ORDERS, OFFSETS = "hermite orders", "offsets"
"""Lengths of axes."""

SPREAD = "line_spread."
"""Start of the attributes that belong to `core.line_spread.LineSpread`."""

Shape = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Field:
    """One dataset, or one group of alike datasets whose name ends in ``<name>``.

    Args:
        name: Path in the file.
        attribute: Path in `core.spectra.Spectra`.
        dtype: As it is written; None for text.
        shapes: Allowed shapes, as names of lengths.
        need: When it must be there.
        unit: Of the numbers, empty without one.
        meaning: For people, in Markdown.
    """

    name: str
    attribute: str = ""
    dtype: type[np.generic] | None = None
    shapes: tuple[Shape, ...] = ((STARS,),)
    need: str = ALWAYS
    unit: str = ""
    meaning: str

    @property
    def kind(self) -> str:
        """`FLOAT`, `INTEGER` or `TEXT`."""
        if self.dtype is None:
            return TEXT
        return FLOAT if np.issubdtype(self.dtype, np.floating) else INTEGER

    @property
    def part(self) -> str:
        """Name within the line spread; empty for what is no part of one."""
        return self.attribute.removeprefix(SPREAD) if self.attribute.startswith(SPREAD) else ""

    def axes(self, dimensions: int) -> Shape:
        """The shape of so many dimensions."""
        return next(shape for shape in self.shapes if len(shape) == dimensions)

    def of(self, spectra: Spectra) -> NDArray[Any] | None:
        """What a table has of it."""
        values: NDArray[Any] | None = attrgetter(self.attribute)(spectra)
        return values

    def per_star(self, spectra: Spectra) -> bool:
        """Whether a table has a row of it for every star."""
        values = self.of(spectra)
        return values is not None and self.axes(values.ndim)[0] == STARS


FIELDS = (
    Field(
        name="wavelength",
        attribute="wavelength",
        dtype=np.float64,
        shapes=((PIXELS,), (STARS, PIXELS)),
        unit="Å",
        meaning="vacuum; 2000 to 10⁶; increasing within a segment; every pixel has one, bad ones too",
    ),
    Field(
        name="segment",
        attribute="segment",
        dtype=np.int16,
        shapes=((PIXELS,),),
        meaning="detector or order of a pixel; one contiguous run each. Line spread and continuum never cross it",
    ),
    Field(
        name="flux",
        attribute="flux",
        dtype=np.float32,
        shapes=((STARS, PIXELS),),
        meaning="always finite; 0 in bad pixels by custom",
    ),
    Field(
        name="ivar",
        attribute="ivar",
        dtype=np.float32,
        shapes=((STARS, PIXELS),),
        need=SURVEY,
        unit="flux⁻²",
        meaning="inverse variance, finite, ≥ 0; **a bad pixel ⇔ ivar = 0**. A survey has it, a grid doesn't",
    ),
    Field(
        name="flags",
        attribute="flags",
        dtype=np.uint32,
        shapes=((STARS, PIXELS),),
        need=OPTIONAL,
        meaning="the survey's own bits, named in `flag_names`",
    ),
    Field(name="id", attribute="id", meaning="unique, not empty"),
    Field(
        name="rv",
        attribute="rv",
        dtype=np.float64,
        unit="km/s",
        meaning="positive receding, **of the spectrum in its own frame**: 0 if it was shifted to rest; NaN = unknown",
    ),
    Field(
        name="rv_error", attribute="rv_error", dtype=np.float64, unit="km/s", meaning="of `rv`; NaN = unknown"
    ),
    Field(
        name="snr",
        attribute="snr",
        dtype=np.float64,
        meaning="median signal to noise per good pixel; NaN = unknown",
    ),
    Field(
        name="lsf/sigma",
        attribute="line_spread.sigma",
        dtype=np.float64,
        shapes=((GROUPS, PIXELS),),
        unit="Å",
        meaning="Gaussian σ (not FWHM: σ = FWHM / 2.3548), finite, > 0; for a pixel-integrated grid the pixel is "
        "included",
    ),
    Field(
        name="lsf/group",
        attribute="line_spread.group",
        dtype=np.int32,
        meaning="row of `lsf/sigma`, 0 to G − 1",
    ),
    Field(
        name="lsf/hermite",
        attribute="line_spread.hermite",
        dtype=np.float32,
        shapes=((GROUPS, PIXELS, ORDERS),),
        need=OPTIONAL,
        meaning="amplitudes of He₁ … He_M; see below",
    ),
    Field(
        name="lsf/kernel",
        attribute="line_spread.kernel",
        dtype=np.float32,
        shapes=((GROUPS, PIXELS, OFFSETS),),
        need=OPTIONAL,
        meaning="tabulated responses, instead of `lsf/hermite`; see below",
    ),
    Field(
        name="lsf/offset",
        attribute="line_spread.offset",
        dtype=np.float64,
        shapes=((OFFSETS,),),
        need=OPTIONAL,
        unit="Å",
        meaning="offsets of the entries of `lsf/kernel`; see below",
    ),
)
"""Datasets of their own, in the order in which they are written."""

LABELS = Field(
    name="labels/<name>",
    attribute="labels",
    dtype=np.float64,
    need=OPTIONAL,
    unit="attribute `unit`",
    meaning="NaN = unknown (never in a grid), not infinite",
)
LABEL_ERRORS = Field(
    name="labels/<name>_error",
    attribute="label_errors",
    dtype=np.float64,
    need=OPTIONAL,
    unit="attribute `unit`",
    meaning="of the label; NaN = unknown",
)
NATIVE = Field(
    name="native/<name>",
    attribute="native",
    dtype=np.float64,
    need=OPTIONAL,
    meaning="what the survey's own files say of each spectrum, numbers or UTF-8 text; see below",
)

GRADIENTS = "gradients"
INDEX = "index"
STEP = "step"
"""Group of gradient spectra, its dataset of row numbers, and the attribute of each of the others."""

SPREADS = tuple(field for field in FIELDS if field.part)
SHAPES = tuple(field for field in SPREADS if field.shapes != ((STARS,),))
PROFILES = tuple(field for field in SHAPES if GROUPS in field.shapes[0])
ROWS = tuple(field for field in FIELDS if not field.part and any(STARS in shape for shape in field.shapes))
COLUMNS = tuple(field.name for field in ROWS if field.shapes == ((STARS,),) and field.kind == FLOAT)
"""Fields of the line spread: all, without the stars, with a row a group; and with a row or a number a star."""
