"""How the light of one wavelength spreads over the pixels of each star."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.given import floats, numbers, whole

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]

ARRAYS = ("sigma", "hermite", "kernel", "offset")
"""Fields that say how light spreads; ``group`` says for whom."""

PROFILES = ("sigma", "hermite", "kernel")
"""Those with a row for every group and pixel."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LineSpread:
    """Line spreads of N stars at P pixels; G of them differ. λ_pixel is the wavelength of a pixel, λ_light of light.

    Args:
        sigma: Gaussian σ in Å, not FWHM, shape (G, P).
        group: Row of ``sigma`` that each star has, shape (N,).
        hermite: Amplitudes of He_1 to He_M (probabilists' Hermite polynomials) in the line spread
            ∝ φ(t) (1 + Σ_m h_m He_m(t)), t = (λ_pixel - λ_light) / σ, shape (G, P, M); None for a Gaussian.
        kernel: Response of a pixel to monochromatic light at ``offset`` from its centre, the pixel's own
            width included, in any unit, shape (G, P, T); None if σ, or σ and the amplitudes, say all.
        offset: λ_light - λ_pixel in Å, increasing, shape (T,); None without a kernel.

    Raises:
        DataError: If shapes disagree, a star's row is not there, or there are both amplitudes and a kernel.
    """

    sigma: Floats
    group: Integers
    hermite: Floats | None = None
    kernel: Floats | None = None
    offset: Floats | None = None

    def __post_init__(self) -> None:
        for name in (*ARRAYS, "group"):
            value = getattr(self, name)
            object.__setattr__(
                self, name, None if value is None else numbers(f"line_spread.{name}", value)[0]
            )
        _check_groups(self.sigma, self.group)
        for name in ("hermite", "kernel"):
            _check_profile(name, getattr(self, name), self.sigma)
        _check_table(self)

    @classmethod
    def single(
        cls,
        sigma: ArrayLike,
        *,
        hermite: ArrayLike | None = None,
        kernel: ArrayLike | None = None,
        offset: ArrayLike | None = None,
        stars: int = 1,
    ) -> "LineSpread":
        """One line spread that all stars share: fields without their first axis.

        Args:
            sigma: Å, shape (P,).
            hermite: Shape (P, M), or None.
            kernel: Shape (P, T), or None.
            offset: Å, shape (T,), or None.
            stars: Number N of stars.

        Raises:
            DataError: If shapes disagree.
        """
        rows = [None if part is None else np.asarray(part)[None] for part in (sigma, hermite, kernel)]
        assert rows[0] is not None
        return cls(
            sigma=rows[0],
            group=np.zeros(stars, dtype=np.int64),
            hermite=rows[1],
            kernel=rows[2],
            offset=None if offset is None else np.asarray(offset),
        )

    @classmethod
    def gaussian(cls, sigma: ArrayLike, *, stars: int = 1, group: ArrayLike | None = None) -> "LineSpread":
        """Gaussian line spreads.

        Args:
            sigma: Å, shape (P,) if all stars share it; (N, P) with a row for each of them; or (G, P) with ``group``.
            stars: Number N of stars, where ``group`` does not say it.
            group: Row of each star, shape (N,).

        Raises:
            DataError: If no star says which of several rows is its own.
        """
        rows = np.atleast_2d(np.asarray(sigma))
        if group is not None:
            return cls(sigma=rows, group=np.asarray(group))
        _demand(
            len(rows) in (1, stars),
            "group",
            f"sigma has {len(rows)} rows and no star says which is its own",
            "give the row of each star",
        )
        return cls(sigma=rows, group=np.arange(stars) if len(rows) == stars else np.zeros(stars, np.int64))

    @classmethod
    def of_widths(
        cls, sigma: ArrayLike | None, group: ArrayLike | None, stars: int, old: "LineSpread | None" = None
    ) -> "LineSpread":
        """Gaussian line spreads of σ in Å and the row of each star, each as in ``old`` where it is not given.

        Raises:
            DataError: As for `gaussian`, or without any σ.
        """
        if sigma is None:
            _demand(old is not None, "sigma", "is missing", "give lsf_sigma in Å")
            assert old is not None
            return replace(old, group=whole("lsf_group", group))
        rows = np.atleast_2d(floats("lsf_sigma", sigma, "Angstrom")[0])
        if group is None and old is not None and len(old.group) == stars and len(rows) == len(old.sigma):
            group = old.group
        return cls.gaussian(rows, stars=stars, group=None if group is None else whole("lsf_group", group))

    @classmethod
    def of_stars(cls, spreads: Sequence["LineSpread"]) -> "LineSpread":
        """The line spreads of several stars, one each; equal ones become one group.

        Raises:
            DataError: If they have different forms.
        """
        numbers: dict[tuple[bytes, ...], int] = {}
        kept: list[LineSpread] = []
        group = np.empty(len(spreads), dtype=np.int64)
        for row, spread in enumerate(spreads):
            key = tuple(array.tobytes() for array in spread.arrays())
            if key not in numbers:
                numbers[key] = len(kept)
                kept.append(spread)
            group[row] = numbers[key]
        return _along(kept, 0, group)

    @classmethod
    def of_detectors(cls, parts: Sequence["LineSpread"]) -> "LineSpread":
        """The line spreads of the same stars on several detectors, whose pixels follow one another.

        Raises:
            DataError: If they have different forms.
        """
        return _along(parts, 1, parts[0].group)

    @property
    def pixels(self) -> int:
        """Number P of pixels."""
        return int(self.sigma.shape[1])

    @property
    def usual(self) -> "LineSpread":
        """The one that most stars have, as `of_group` gives it."""
        return self.of_group(int(np.bincount(self.group).argmax()))

    def of_group(self, number: int) -> "LineSpread":
        """A row alone, as that of one star."""
        return self._changed(lambda rows: rows[[number]], np.zeros(1, dtype=np.int64))

    def each(self) -> "LineSpread":
        """The same with a row for every star, in their order."""
        return self._changed(lambda rows: rows[self.group], np.arange(len(self.group)))

    def take(self, rows: Any) -> "LineSpread":
        """That of some of the stars (an index or a boolean array); all groups stay."""
        return replace(self, group=self.group[rows])

    def cut(self, pixels: Any) -> "LineSpread":
        """That at some of the pixels (a slice, an index or a boolean array), in their order."""
        return self._changed(lambda rows: rows[:, pixels], self.group)

    def scaled(self, factor: float) -> "LineSpread":
        """The same shape, wider by a factor; of a table, the pixel's own width is scaled with it.

        Raises:
            DataError: If the factor is not positive.
        """
        _demand(0 < factor < np.inf, "factor", f"is {factor}", "give a positive number")
        offset = None if self.offset is None else self.offset * factor
        return replace(self, sigma=self.sigma * factor, offset=offset)

    def join(self, other: "LineSpread") -> "LineSpread":
        """That of these stars and then those of another table of the same pixels.

        Groups stay as they are if both have the same; otherwise they are those that stars here use, and the other's.

        Raises:
            DataError: If the two have different forms.
        """
        if self.equals(other):
            return replace(self, group=np.concatenate([self.group, other.group]))
        used, group = np.unique(self.group, return_inverse=True)
        group = np.concatenate([group, other.group + len(used)]).astype(self.group.dtype)
        return _along([self._changed(lambda rows: rows[used], group[:0]), other], 0, group)

    def equals(self, other: "LineSpread") -> bool:
        """Whether the groups are the same, whoever has them."""
        return _form(self) == _form(other) and all(
            np.array_equal(one, two) for one, two in zip(self.arrays(), other.arrays(), strict=True)
        )

    def arrays(self) -> tuple[Floats, ...]:
        """What there is of σ, amplitudes, table and offsets."""
        return tuple(array for name in ARRAYS if (array := getattr(self, name)) is not None)

    def _changed(self, change: Any, group: Integers) -> "LineSpread":
        """With other groups or pixels."""
        found = {name: getattr(self, name) for name in PROFILES}
        changed: dict[str, Any] = {
            name: None if rows is None else change(rows) for name, rows in found.items()
        }
        return LineSpread(group=group, offset=self.offset, **changed)


def _along(parts: Sequence[LineSpread], axis: int, group: Integers) -> LineSpread:
    """Profiles of several line spreads, one after the other."""
    first = parts[0]
    for part in parts[1:]:
        for name, mine, theirs in zip(ARRAYS[1:], _form(part), _form(first), strict=True):
            _demand(mine == theirs, name, "is not of the form that others have", "join equal forms")
    columns = {name: [getattr(part, name) for part in parts] for name in PROFILES}
    joined: dict[str, Any] = {
        name: None if rows[0] is None else np.concatenate(rows, axis) for name, rows in columns.items()
    }
    return LineSpread(group=group, offset=first.offset, **joined)


def _form(spread: LineSpread) -> tuple[Any, ...]:
    shapes = (None if part is None else part.shape[2] for part in (spread.hermite, spread.kernel))
    return (*shapes, None if spread.offset is None else spread.offset.tobytes())


def _demand(condition: bool, name: str, message: str, remedy: str) -> None:
    if not condition:
        raise DataError(message, field=f"line_spread.{name}", remedy=remedy)


def _check_groups(sigma: Floats, group: Integers) -> None:
    _demand(sigma.ndim == 2, "sigma", f"shape {sigma.shape}", "give (groups, pixels) in Å")
    _demand(
        group.ndim == 1 and group.dtype.kind in "iu",
        "group",
        f"shape {group.shape}, type {group.dtype}",
        "give the row of each star",
    )
    _demand(
        group.min(initial=0) >= 0 and (not len(group) or group.max() < len(sigma)),
        "group",
        f"rows {group.min(initial=0)} to {group.max(initial=0)} of a sigma with {len(sigma)} rows",
        "count rows from 0",
    )


def _check_profile(name: str, profile: Floats | None, sigma: Floats) -> None:
    if profile is not None:
        _demand(
            profile.ndim == 3 and profile.shape[:2] == sigma.shape,
            name,
            f"shape {profile.shape}, but sigma has {sigma.shape}",
            "give one profile per width",
        )


def _check_table(spread: LineSpread) -> None:
    entries = () if spread.kernel is None else spread.kernel.shape[2:]
    found = () if spread.offset is None else spread.offset.shape
    _demand(
        found == entries,
        "offset",
        f"shape {found} for responses of {entries[0] if entries else 'no'} entries",
        "give the offset in Å of every entry",
    )
    both = spread.kernel is not None and spread.hermite is not None
    _demand(not both, "hermite", "stands beside a kernel", "describe the line spread in one way")
