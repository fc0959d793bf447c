"""A table of spectra of one domain, in memory: the same fields as a shard on disk."""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import wraps
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra_given import right_fields

T = TypeVar("T")
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True)
class Gradients:
    """How the flux of some spectra of a grid answers to each label, by central differences. M of them, P pixels.

    Args:
        index: Row of the spectrum that each belongs to, shape (M,).
        values: ∂flux/∂label by label name, per unit of the label, shape (M, P) each.
        steps: Half of the difference by label name, in the label's unit.
    """

    index: NDArray[np.integer[Any]]
    values: Mapping[str, Floats]
    steps: Mapping[str, float]

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: NDArray[Any], count: int) -> "Gradients":
        """Those that belong to the given rows (an index or a boolean array) of ``count`` spectra."""
        kept = np.arange(count)[rows]
        place = np.full(count, -1)
        place[kept] = np.arange(len(kept))
        inside = place[self.index] >= 0
        return replace(
            self,
            index=place[self.index[inside]],
            values={name: rows[inside] for name, rows in self.values.items()},
        )

    def cut(self, pixels: NDArray[np.bool_]) -> "Gradients":
        """The same at some pixels, shape (P,)."""
        return replace(self, values={name: rows[:, pixels] for name, rows in self.values.items()})


def _takes_widths(cls: type[T]) -> type[T]:
    """A class whose constructor, and so `dataclasses.replace`, takes ``lsf_sigma`` and ``lsf_group`` too."""
    made: Any = cls.__init__

    @wraps(made)
    def init(self: Any, *, lsf_sigma: Any = None, lsf_group: Any = None, **given: Any) -> None:
        if lsf_sigma is not None or lsf_group is not None:
            old, stars = given.get("line_spread"), len(given["flux"])
            given["line_spread"] = LineSpread.of_widths(lsf_sigma, lsf_group, stars, old)
        made(self, **given)

    cls.__init__ = init  # type: ignore[method-assign]
    return cls


@_takes_widths
@dataclass(frozen=True, kw_only=True)
class Spectra:
    """Spectra of one grid or survey. N stars, P pixels.

    They are checked when they are made, by the rules of the file format. What can be right is made right: lists,
    tensors, big-endian and masked arrays and quantities become arrays of this machine, a masked pixel a bad one, one
    number for all stars a column, and detectors that run from red to blue are turned.

    Args:
        domain: Name of the grid or survey, e.g. ``miles``.
        kind: ``grid`` or ``survey``.
        wavelength: Vacuum Å, shape (P,) if shared or (N, P) if each star has its own.
        segment: Detector of each pixel, shape (P,).
        flux: Shape (N, P), finite.
        ivar: Inverse variance, shape (N, P), 0 for a bad pixel; None for a grid.
        flags: The survey's own bits, shape (N, P), or None.
        flag_names: Name of each bit.
        id: Unique star names, shape (N,).
        rv, rv_error: km/s, positive receding, NaN = unknown, shape (N,).
        snr: Median signal to noise per pixel, shape (N,).
        line_spread: Of every star at its pixels. For a Gaussian say instead ``lsf_sigma``, its σ in Å, shape (P,),
            (N, P), or (G, P) with ``lsf_group``, the row of each star, shape (N,).
        labels, label_errors: Columns of shape (N,), NaN = unknown.
        native: What the survey's own files say of each spectrum (file, object, published velocity …),
            columns of numbers or text, shape (N,).
        gradients: Of some spectra of a grid, or None.
        frame: ``rest`` or ``barycentric``.
        flux_kind: ``normalized``, ``relative`` or ``absolute``.
        air_formula: How air wavelengths became vacuum; empty if they were vacuum.
        provenance: Where it came from: sources with sha256, licence, citation, how errors were made.

    Raises:
        DataError: Naming each field that is wrong, what was found, and what to do.
    """

    domain: str
    kind: str
    wavelength: Floats
    segment: NDArray[np.integer[Any]]
    flux: Floats
    ivar: Floats | None
    id: NDArray[np.str_]
    line_spread: LineSpread
    rv: Floats
    rv_error: Floats
    snr: Floats
    flags: NDArray[np.uint32] | None = None
    flag_names: Mapping[int, str] = field(default_factory=dict)
    labels: Mapping[str, Floats] = field(default_factory=dict)
    label_errors: Mapping[str, Floats] = field(default_factory=dict)
    native: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    gradients: Gradients | None = None
    frame: str = "rest"
    flux_kind: str = "relative"
    air_formula: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        vars(self).update(right_fields(vars(self)))

    @classmethod
    def unchecked(cls, **given: Any) -> "Spectra":
        """A table of fields that are known to be valid, as those of a checked file or of rows of another table."""
        table = cls.__new__(cls)
        for one in fields(cls):
            default = one.default if one.default_factory is MISSING else one.default_factory()
            vars(table)[one.name] = given[one.name] if default is MISSING else given.get(one.name, default)
        return table

    def __len__(self) -> int:
        return len(self.flux)

    @property
    def lsf_sigma(self) -> Floats:
        """Gaussian σ of the line spreads in Å, shape (G, P)."""
        return self.line_spread.sigma

    @property
    def lsf_group(self) -> NDArray[np.integer[Any]]:
        """Row of ``lsf_sigma`` that each star has, shape (N,)."""
        return self.line_spread.group

    @property
    def shared_wavelength(self) -> bool:
        """Whether all stars have the same pixels."""
        return self.wavelength.ndim == 1

    @property
    def star(self) -> NDArray[np.str_]:
        """What the survey calls each star, shape (N,): its object where it names one, else the spectrum's id."""
        objects = self.native.get("object", self.id)
        names = (str(name) or str(own) for name, own in zip(objects, self.id, strict=True))
        return np.array(list(names), dtype=str)

    def take(self, rows: NDArray[Any]) -> "Spectra":
        """The same table with only the given rows (an index or a boolean array)."""

        def pick(value: Any) -> Any:
            return None if value is None else value[rows]

        return self.with_valid(
            wavelength=self.wavelength if self.shared_wavelength else self.wavelength[rows],
            flux=self.flux[rows],
            ivar=pick(self.ivar),
            flags=pick(self.flags),
            id=self.id[rows],
            line_spread=self.line_spread.take(rows),
            rv=self.rv[rows],
            rv_error=self.rv_error[rows],
            snr=self.snr[rows],
            labels={name: column[rows] for name, column in self.labels.items()},
            label_errors={name: column[rows] for name, column in self.label_errors.items()},
            native={name: column[rows] for name, column in self.native.items()},
            gradients=None if self.gradients is None else self.gradients.take(rows, len(self)),
        )

    def cut(self, pixels: NDArray[Any]) -> "Spectra":
        """The same table with only the given pixels (a boolean array, shape (P,))."""
        return self.with_valid(
            wavelength=self.wavelength[..., pixels],
            segment=self.segment[pixels],
            flux=self.flux[:, pixels],
            ivar=None if self.ivar is None else self.ivar[:, pixels],
            flags=None if self.flags is None else self.flags[:, pixels],
            line_spread=self.line_spread.cut(pixels),
            gradients=None if self.gradients is None else self.gradients.cut(pixels),
        )

    def masked(self, bad: NDArray[np.bool_]) -> "Spectra":
        """A survey's table with further bad pixels, shape (N, P)."""
        if not bad.any():
            return self
        ivar = None if self.ivar is None else np.where(bad, 0, self.ivar)
        return self.with_valid(flux=np.where(bad, 0, self.flux), ivar=ivar)

    def with_valid(self, **changes: Any) -> "Spectra":
        """As `dataclasses.replace`, with fields that are known to be valid, as rows and pixels of this table are."""
        return Spectra.unchecked(**{**vars(self), **changes})
