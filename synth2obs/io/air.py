"""Air and vacuum wavelengths. Inside the package everything is vacuum."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

AIR_FORMULA = "Morton2000"
"""Refraction index of standard air: Morton (2000, ApJS 130, 403), equation 8."""

_PRECISION_ANGSTROM = 1e-9


def air_to_vacuum(wavelength: ArrayLike) -> NDArray[np.float64]:
    """Vacuum wavelengths of lines measured in standard air, any shape, both in Å.

    The refraction index is a function of the vacuum wavelength, so it is found by iteration
    (Morton 2000, ApJS 130, 403, equation 8).

    Raises:
        ValueError: For a wavelength that is not finite or below 2000 Å, where there is no air wavelength.
    """
    from specutils.utils import wcs_utils

    air = _quantity(wavelength)
    vacuum = wcs_utils.air_to_vac(air, scheme="iteration", method=AIR_FORMULA, precision=_PRECISION_ANGSTROM)
    return np.asarray(vacuum.value, dtype=np.float64)


def vacuum_to_air(wavelength: ArrayLike) -> NDArray[np.float64]:
    """Wavelengths in standard air of vacuum wavelengths, any shape, both in Å.

    Morton (2000, ApJS 130, 403), equation 8.

    Raises:
        ValueError: For a wavelength that is not finite or below 2000 Å, where there is no air wavelength.
    """
    from specutils.utils import wcs_utils

    air = wcs_utils.vac_to_air(_quantity(wavelength), method=AIR_FORMULA)
    return np.asarray(air.value, dtype=np.float64)


def _quantity(wavelength: ArrayLike) -> Any:
    from astropy import units

    values = np.array(wavelength, dtype=np.float64)
    if not np.all((values >= 2000.0) & np.isfinite(values)):
        raise ValueError(
            f"wavelength in Å must be finite and >= 2000 to convert between air and vacuum, "
            f"got {values.min()} to {values.max()}; multiply nm by 10 and µm by 10000"
        )
    return values * units.angstrom
