"""Arrays as people have them, made into arrays of this machine's numbers and text."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError

Masked = NDArray[np.bool_] | None
"""Where values are masked; None if none can be."""


def numbers(name: str, given: Any, unit: str = "") -> tuple[NDArray[Any], Masked]:
    """Real numbers in this machine's byte order, writable, without negative strides, and where they are masked.

    Lists, torch tensors, masked arrays, tables' columns and astropy quantities are taken. float16 becomes float32, what
    is longer than float64 becomes float64, and whole numbers stay whole; nothing is copied that need not be.

    Args:
        name: Of the field, for messages.
        given: What somebody has.
        unit: Into which quantities are converted; empty if numbers have none.

    Raises:
        DataError: For text, objects, complex numbers, ragged lists, or a quantity of another kind.
    """
    masked = _mask_of(given)
    array = _as_array(name, in_unit(name, _detached(given), unit))
    if array.dtype.kind not in "fiub":
        raise DataError(
            f"must be real numbers, got {'objects' if array.dtype == object else array.dtype}",
            field=name,
            remedy="give an array of numbers",
        )
    return usable(array), masked


def floats(name: str, given: Any, unit: str = "") -> tuple[NDArray[np.floating[Any]], Masked]:
    """As `numbers`, in floating point: float32 of what it holds, else float64."""
    array, masked = numbers(name, given, unit)
    if array.dtype.kind != "f":
        array = array.astype(np.result_type(array.dtype, np.float32))
    return array, masked


def whole(name: str, given: Any, form: type[np.integer[Any]] = np.int64) -> NDArray[np.integer[Any]]:
    """As `numbers`, whole.

    Args:
        name: Of the field, for messages.
        given: What somebody has.
        form: Type that has room for every number; the array keeps its own.

    Raises:
        DataError: If a number is not whole, too large, or masked.
    """
    array, masked = numbers(name, given)
    if masked is not None and masked.any():
        raise DataError("is masked", field=name, remedy="give a whole number for every entry")
    if array.dtype.kind not in "iu":
        with np.errstate(invalid="ignore"):
            rounded = array.astype(np.int64)
        if not (rounded == array).all():
            raise DataError(f"must be whole numbers, got {array.dtype}", field=name, remedy="round them")
        array = rounded
    least, most = np.iinfo(form).min, np.iinfo(form).max
    if array.size and not least <= int(array.min()) <= int(array.max()) <= most:
        found = f"runs from {array.min()} to {array.max()}"
        raise DataError(found, field=name, remedy=f"it must be within {least} to {most}")
    return array


def text(name: str, given: Any) -> NDArray[np.str_]:
    """Names; bytes are read as UTF-8, whole numbers written out.

    Raises:
        DataError: For anything else.
    """
    masked = _mask_of(given)
    array = _as_array(name, _detached(given))
    if masked is not None and masked.any():
        raise DataError("is masked for a star", field=name, remedy="give every spectrum a name")
    if array.dtype.kind == "S":
        try:
            return np.char.decode(array, "utf-8")
        except UnicodeDecodeError as error:
            raise DataError("is not UTF-8", field=name, remedy="decode the names") from error
    if array.dtype == object and all(isinstance(one, str) for one in array.ravel()):
        return array.astype(str)
    if array.dtype.kind not in "Uiu":
        raise DataError(f"must be text, got {array.dtype}", field=name, remedy="give names")
    return array.astype(str) if array.dtype.kind != "U" or not array.dtype.isnative else array


def usable(array: NDArray[Any]) -> NDArray[Any]:
    """An array that torch takes: native, of usual size, writable, without negative strides."""
    if array.dtype.kind == "f" and array.dtype.itemsize not in (4, 8):
        return array.astype(np.float32 if array.dtype.itemsize < 4 else np.float64)
    if not array.dtype.isnative:
        return array.astype(array.dtype.newbyteorder("="))
    if not array.flags.writeable or any(step < 0 for step in array.strides):
        return array.copy()
    return array


def in_unit(name: str, given: Any, unit: str) -> Any:
    """A quantity's numbers in a unit; anything else as it is.

    Raises:
        DataError: If the quantity is of another kind.
    """
    quantity = given if hasattr(given, "to_value") else getattr(given, "quantity", given)
    found = getattr(quantity, "unit", None)
    if found is None or not hasattr(quantity, "to_value"):
        return given
    try:
        return quantity.to_value(unit)
    except Exception as error:
        raise DataError(
            f"has unit {str(found)!r}",
            field=name,
            remedy=f"convert it to {unit}" if unit else "give numbers without a unit",
        ) from error


def linear_unit(name: str, flux: Any) -> Any:
    """The unit of a flux, None if it is no quantity.

    Args:
        name: Of the field, for messages.
        flux: An astropy quantity, or any array.

    Raises:
        DataError: For magnitudes, dex and the like.
    """
    unit = getattr(flux, "unit", None)
    if unit is None or not hasattr(flux, "to_value"):
        return None
    refuse_logarithm(name, unit)
    return unit


def refuse_logarithm(name: str, unit: Any) -> None:
    """Refuse an astropy unit of a logarithm.

    Raises:
        DataError: For magnitudes, dex and the like.
    """
    if hasattr(unit, "physical_unit") or any(base.is_equivalent("dex") for base in unit.bases):
        raise DataError(
            f"has unit {str(unit)!r}, a logarithm",
            field=name,
            remedy="convert it to a linear flux, 10^(-0.4 mag) of magnitudes, and its errors with it",
        )


def _detached(given: Any) -> Any:
    """What a torch tensor holds, wherever it is; anything else as it is."""
    return given.detach().cpu() if hasattr(given, "detach") else given


def _mask_of(given: Any) -> Masked:
    if isinstance(given, np.ma.MaskedArray):
        return np.ma.getmaskarray(given)
    # astropy's Masked arrays and quantities.
    if hasattr(given, "unmasked"):
        return np.broadcast_to(np.asarray(given.mask, bool), np.shape(given))
    return None


def _as_array(name: str, given: Any) -> NDArray[Any]:
    try:
        return np.asarray(getattr(given, "unmasked", given))
    except Exception as error:
        raise DataError(
            f"is no array ({str(error).partition(chr(10))[0]})", field=name, remedy="give an array of numbers"
        ) from error
