import numpy as np
import pytest

from synth2obs.core.constants import C_KMS
from synth2obs.io.air import AIR_FORMULA, air_to_vacuum, vacuum_to_air

VACUUM = np.linspace(3000.0, 25000.0, 500)


def refraction(vacuum):
    """Morton (2000, ApJS 130, 403), equation 8."""
    s2 = (1e4 / vacuum) ** 2
    return 1 + 8.34254e-5 + 2.406147e-2 / (130 - s2) + 1.5998e-4 / (38.9 - s2)


def test_agrees_with_morton_to_1_m_s():
    assert AIR_FORMULA == "Morton2000"
    air = VACUUM / refraction(VACUUM)
    np.testing.assert_allclose(vacuum_to_air(VACUUM), air, rtol=1e-3 / C_KMS)
    np.testing.assert_allclose(air_to_vacuum(air), VACUUM, rtol=1e-3 / C_KMS)


def test_round_trip_of_any_shape():
    grid = VACUUM.reshape(20, 25)[:, ::-1]
    np.testing.assert_allclose(air_to_vacuum(vacuum_to_air(grid)), grid, rtol=1e-12)
    assert air_to_vacuum(5000.0).shape == ()


def test_air_is_80_km_s_from_vacuum_at_h_alpha():
    assert (float(air_to_vacuum(6562.80)) / 6562.80 - 1) * C_KMS == pytest.approx(82.8, abs=0.2)


def test_the_argument_is_not_changed():
    wavelength = np.array([5000.0, 6000.0])
    air_to_vacuum(wavelength)
    np.testing.assert_array_equal(wavelength, [5000.0, 6000.0])


@pytest.mark.parametrize("wavelength", [500.0, np.nan, -5000.0, np.inf])
def test_refuses_what_is_not_in_angstrom(wavelength):
    with pytest.raises(ValueError, match="multiply nm by 10"):
        air_to_vacuum(wavelength)
