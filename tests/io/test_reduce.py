import numpy as np
import pytest

from synth2obs.core.errors import DataError
from synth2obs.io.reduce import FLUX_BITS, cut_wavelengths, round_mantissa, round_spectra


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bits", [4, 8, 14, 20])
def test_rounding_error_and_bits(dtype, bits):
    values = np.random.default_rng(0).lognormal(0, 8, 5000).astype(dtype)
    rounded = round_mantissa(values, bits)
    assert rounded.dtype == dtype
    assert np.abs(rounded / values - 1).max() <= 2.0 ** -(bits + 1) * (1 + 1e-6)
    mantissa = np.frexp(rounded.astype(np.float64))[0] * 2.0 ** (bits + 1)
    np.testing.assert_array_equal(mantissa, np.rint(mantissa))
    np.testing.assert_array_equal(round_mantissa(rounded, bits), rounded)


def test_rounding_keeps_zero_and_sign():
    np.testing.assert_array_equal(round_mantissa(np.array([0.0, -1.5, 1.5]), 4), [0.0, -1.5, 1.5])


def test_round_spectra_keeps_masks_and_says_so(spectra):
    rounded = round_spectra(spectra)
    np.testing.assert_array_equal(rounded.ivar == 0, spectra.ivar == 0)
    np.testing.assert_allclose(rounded.flux, spectra.flux, rtol=5e-5)
    np.testing.assert_array_equal(rounded.wavelength, spectra.wavelength)
    assert f"{FLUX_BITS} mantissa bits" in rounded.provenance["rounding"]


def test_cut_shared_wavelengths(spectra):
    cut = cut_wavelengths(spectra, 3905.0, 3910.0)
    np.testing.assert_array_equal(cut.wavelength, np.arange(3905.0, 3911.0))
    assert cut.flux.shape == cut.ivar.shape == cut.flags.shape == (150, 6)
    assert (cut.segment == 1).all() and cut.line_spread.sigma.shape == (2, 6)
    assert cut.line_spread.hermite.shape == (2, 6, 3)


def test_cut_own_wavelengths_keeps_pixels_inside_for_all(own_pixels):
    cut = cut_wavelengths(own_pixels, 3905.01, 3910.0)
    assert cut.wavelength.shape == (70, 4)
    assert cut.wavelength.min() >= 3905.01 and cut.wavelength.max() <= 3910.0


def test_nothing_left(spectra):
    with pytest.raises(DataError, match=r"3900\.0 to 4019\.0"):
        cut_wavelengths(spectra, 8000.0, 9000.0)
