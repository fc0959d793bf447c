"""What a survey sees of stars that are given by labels."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import compress
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from synth2obs.analysis.flags import FAR, OUTSIDE
from synth2obs.analysis.morph import Morphed
from synth2obs.analysis.per_star import speeds, velocities
from synth2obs.analysis.seen import STARS, blocks, refuse_too_many, seen_by
from synth2obs.core.errors import DataError
from synth2obs.core.given import floats
from synth2obs.models.bridge import Bridge
from synth2obs.physics.broadening import Broadening


@dataclass(frozen=True)
class Stars:
    """Stars to be morphed, checked.

    Args:
        labels: In the grid's units and order, shape (N, K).
        rv: km/s, shape (N,).
        broadening: Rotation and macroturbulence, shape (N,) each.
    """

    labels: NDArray[np.float64]
    rv: Tensor
    broadening: Broadening

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: slice) -> "Stars":
        """Some of them."""
        broadening = self.broadening.take(torch.arange(rows.start, rows.stop))
        return Stars(self.labels[rows], self.rv[rows], broadening)


def refuse_both(labels: Any, spectrum: Any, vsini: ArrayLike, vmac: ArrayLike) -> None:
    """Refuse stars that are given twice or not at all.

    Raises:
        DataError: If both or neither of labels and spectrum are given, or spectra with a broadening.
    """
    if (labels is None) == (spectrum is None):
        raise DataError("give labels= or spectrum=, one of them", field="labels, spectrum")
    if labels is None and any(floats("vsini, vmac", speed)[0].any() for speed in (vsini, vmac)):
        raise DataError(
            f"vsini and vmac in km/s are for labels, got {vsini!r} and {vmac!r} with a spectrum",
            field="vsini, vmac",
            remedy="leave them out: a spectrum is broadened already",
        )


def require_pixels(survey: str, instrument: Any) -> None:
    """Refuse stars that nobody is said to look at.

    Raises:
        DataError: If there is neither survey nor instrument.
    """
    if instrument is None and survey == "":
        raise DataError(
            "on whose pixels?", field="survey, instrument", remedy="give survey= or instrument= (or both)"
        )


def as_mapping(bridge: Bridge, labels: Any) -> Mapping[str, ArrayLike]:
    """Labels by name, of a mapping or a table.

    Raises:
        DataError: For anything else.
    """
    if isinstance(labels, Mapping):
        return labels
    from synth2obs.analysis.given_labels import labels_of_table

    return labels_of_table(labels, bridge.labels.names)


def morph_labels(
    bridge: Bridge,
    labels: Mapping[str, ArrayLike],
    survey: str,
    rv: ArrayLike = 0.0,
    vsini: ArrayLike = 0.0,
    vmac: ArrayLike = 0.0,
) -> Morphed:
    """Theory of some labels as a survey sees it; a label outside the grid is answered and flagged.

    Args:
        bridge: Trained.
        labels: Name → value or values, in the grid's units; what is left out follows Teff, log g and
            [Fe/H], see `trends.usual`.
        survey: One of the bridge's surveys.
        rv: km/s, positive receding.
        vsini, vmac: Rotation and radial–tangential macroturbulence in km/s, one value or one per star.

    Raises:
        DataError: For an unknown label, one that is not finite, numbers of values that differ, no star, or a velocity
            that cannot be.
        ModelError: For an unknown survey.
    """
    bridge.survey(survey)
    stars = stars_of(bridge, labels, rv, vsini, vmac)
    refuse_too_many(len(bridge.survey(survey).wavelength), len(stars), "use morph_batches, or an .h5 file")
    return morph_stars(bridge, survey, stars)


def label_batches(view: Callable[[Stars], Morphed], stars: Stars, batch: int) -> Iterator[Morphed]:
    """What is seen of stars, some at a time; the numbers are those of all at once.

    Args:
        view: Gives what is seen of some.
        stars: All of them.
        batch: Most stars at a time; it becomes a multiple of 64.
    """
    size = max(batch // STARS, 1) * STARS
    for first in range(0, len(stars), size):
        yield view(stars.take(slice(first, min(first + size, len(stars)))))


def stars_of(
    bridge: Bridge, labels: Mapping[str, ArrayLike], rv: ArrayLike, vsini: ArrayLike, vmac: ArrayLike
) -> Stars:
    """Stars of what a user says of them.

    Raises:
        DataError: As `morph_labels`.
    """
    given = {str(name): _values(str(name), values) for name, values in labels.items()}
    _same_length(given)
    try:
        table = bridge.labels.table(given)
    except (KeyError, ValueError) as error:
        raise DataError(str(error).strip('"'), field="labels", remedy="give finite values by name") from error
    if not len(table):
        raise DataError("are of no star", field="labels", remedy="give at least one value each")
    broadening = Broadening(*(speeds(*pair, len(table)) for pair in (("vsini", vsini), ("vmac", vmac))))
    return Stars(table, velocities(rv, len(table)), broadening)


class Placed(NamedTuple):
    """Where labels lie in theory's latent space, and what is to be said of them. N stars.

    Args:
        x: Scaled labels, shape (N, K).
        latent: Theory's, shape (N, D).
        looks: Those where theory looks like a survey's stars of these labels.
        distance, flags, outside, labels: Fields of `Morphed`.
    """

    x: Tensor
    latent: Tensor
    looks: Tensor
    distance: NDArray[np.float64]
    flags: NDArray[np.int64]
    outside: tuple[tuple[str, ...], ...]
    labels: dict[str, NDArray[np.float64]]

    def facts(self) -> dict[str, Any]:
        """Fields of `Morphed` that are no spectra."""
        named = {name: getattr(self, name) for name in ("distance", "flags", "outside", "labels")}
        return {**named, "latent": self.latent.numpy()}


@torch.no_grad()
def placed(bridge: Bridge, stars: Stars, survey: str = "") -> Placed:
    """Theory's latents of stars, and those where it looks like a survey's, which without a survey are the same."""
    table = stars.labels
    x = bridge.scale(torch.as_tensor(table))
    latent = torch.cat([bridge.emulator(x[rows]) for rows in blocks(len(x))])
    looks = latent
    if survey:
        looks = torch.cat([bridge.theory_latents(survey, x[rows]) for rows in blocks(len(x))])
    distance = np.concatenate([bridge.grid_distance(x[rows]).numpy() for rows in blocks(len(x))])
    outside = bridge.labels.outside(table)
    names = tuple(tuple(compress(bridge.labels.names, row)) for row in outside)
    flags = outside.any(1) * np.int64(OUTSIDE) | (distance > 1.0) * np.int64(FAR)
    used = dict(zip(bridge.labels.names, table.T.copy(), strict=True))
    return Placed(x, latent, looks, distance, flags, names, used)


@torch.no_grad()
def morph_stars(bridge: Bridge, survey: str, stars: Stars) -> Morphed:
    """What a survey sees of stars."""
    put = placed(bridge, stars, survey)
    seen = seen_by(bridge, survey, put.latent, put.looks, stars.rv, put.flags, put.outside, stars.broadening)
    variance = partial(bridge.emulator_variance, survey, put.x, stars.rv)
    return replace(seen, distance=put.distance, emulator_variance=variance, labels=put.labels)


def _values(name: str, given: ArrayLike) -> NDArray[np.float64]:
    """A label's values; masked ones are NaN, which no label may be."""
    values, masked = floats("labels", getattr(given, "value", given))
    if values.ndim > 1:
        raise DataError(
            f"{name!r} has shape {values.shape}", field="labels", remedy="give one value, or one per star"
        )
    return values.astype(np.float64) if masked is None else np.where(masked, np.nan, values)


def _same_length(labels: Mapping[str, NDArray[np.float64]]) -> None:
    sizes = {name: np.size(values) for name, values in labels.items()}
    if len(set(sizes.values()) - {1}) > 1:
        found = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise DataError(
            f"numbers of values differ: {found}",
            field="labels",
            remedy="give one value each, or one per star",
        )
