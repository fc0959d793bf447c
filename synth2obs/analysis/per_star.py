"""What a user says of every star: one value for all, or one each."""

from operator import index

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from synth2obs.core.constants import C_KMS
from synth2obs.core.errors import DataError
from synth2obs.core.given import floats

FASTEST = 1000.0
"""km/s that no star's rotation or macroturbulence reaches: the fastest O stars break up at some 700."""


def velocities(rv: ArrayLike, count: int) -> Tensor:
    """One velocity for each of ``count`` stars, km/s, shape (count,).

    Raises:
        DataError: For other numbers of velocities, or one that is not finite or not slower than light.
    """
    values = per_star("rv", rv, count)
    bad = values[~(np.abs(values) < C_KMS)]
    if len(bad):
        raise DataError(
            f"rv in km/s must be finite and slower than light, got {bad[0]}",
            field="rv",
            remedy="use 0 for the rest frame",
        )
    return torch.as_tensor(values)


def speeds(name: str, given: ArrayLike, count: int) -> Tensor:
    """One speed inside a star for each of ``count`` stars, km/s, shape (count,).

    Args:
        name: ``vsini`` or ``vmac``, for the message.
        given: One value, or one per star.
        count: Number of stars.

    Raises:
        DataError: For other numbers of values, or one that is negative, not finite, or beyond any star's.
    """
    values = per_star(name, given, count)
    bad = values[~((values >= 0) & (values < FASTEST))]
    if len(bad):
        raise DataError(
            f"{name} in km/s must be at least 0 and below {FASTEST:g}, got {bad[0]}",
            field=name,
            remedy="use 0 for a star without",
        )
    return torch.as_tensor(values)


def per_star(name: str, given: ArrayLike, count: int, what: str = "velocity in km/s") -> NDArray[np.float64]:
    """One value for each of ``count`` stars, shape (count,).

    Args:
        name: Of the argument, for the message.
        given: One value, or one per star.
        count: Number of stars.
        what: A value is, for the message.

    Raises:
        DataError: For other numbers of values, or what is no number.
    """
    try:
        values, masked = floats(name, getattr(given, "value", given))
    except DataError as error:
        raise DataError(
            f"must be numbers, got {given!r}", field=name, remedy=f"give one {what}, or one per star"
        ) from error
    values = np.where(masked, np.nan, values) if masked is not None else values.astype(np.float64)
    if values.shape not in ((), (1,), (count,)):
        raise DataError(
            f"has shape {values.shape} for {count} star{'s' * (count != 1)}",
            field=name,
            remedy=f"give one {what}, or one per star",
        )
    return np.broadcast_to(values, count).copy()


def whole(name: str, value: int, least: int) -> int:
    """A whole number of at least ``least``.

    Raises:
        DataError: If it is none.
    """
    try:
        number = index(value)
    except TypeError:
        number = least - 1
    if not least <= number < 2**63:
        raise DataError(f"must be a whole number of at least {least}, got {value!r}", field=name)
    return number
