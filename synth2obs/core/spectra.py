"""A table of spectra of one domain, in memory: the same fields as a shard on disk."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.line_spread import LineSpread

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


@dataclass(frozen=True, kw_only=True)
class Spectra:
    """Spectra of one grid or survey. N stars, P pixels.

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
        line_spread: Of every star at its pixels; `LineSpread.gaussian` makes one from σ in Å.
        labels, label_errors: Columns of shape (N,), NaN = unknown.
        native: What the survey's own files say of each spectrum (file, object, published velocity …),
            columns of numbers or text, shape (N,).
        gradients: Of some spectra of a grid, or None.
        frame: ``rest`` or ``barycentric``.
        flux_kind: ``normalized``, ``relative`` or ``absolute``.
        air_formula: How air wavelengths became vacuum; empty if they were vacuum.
        provenance: Where it came from: sources with sha256, licence, citation, how errors were made.
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

    def __len__(self) -> int:
        return len(self.flux)

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

        return replace(
            self,
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
