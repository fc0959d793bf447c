"""Units of flux: linear ones, as logarithms of a flux are none."""

from typing import Any

from synth2obs.core.errors import DataError


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
