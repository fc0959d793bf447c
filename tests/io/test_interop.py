import numpy as np
import pytest

from synth2obs.core.errors import DataError
from synth2obs.io.air import air_to_vacuum
from synth2obs.io.interop import from_specutils

WAVELENGTH = np.linspace(5000.0, 5100.0, 50)
SIGMA = np.linspace(0.8, 0.9, 50)


@pytest.fixture(scope="module")
def spectrum():
    """A function that makes a `specutils.Spectrum`; flux 100, σ = 2."""
    specutils = pytest.importorskip("specutils")
    from astropy import units as u
    from astropy.nddata import StdDevUncertainty

    def make(wavelength=WAVELENGTH * u.AA, flux=None, uncertainty=None, **extra):
        flux = np.full(wavelength.shape, 100.0) if flux is None else flux
        noise = StdDevUncertainty(np.full(flux.shape, 2.0)) if uncertainty is None else uncertainty
        return specutils.Spectrum(
            spectral_axis=wavelength, flux=flux * u.Unit("erg/(s cm2 AA)"), uncertainty=noise, **extra
        )

    return make


def table(spectra, **changes):
    return from_specutils(spectra, **{"survey": "mine", "medium": "vacuum", "lsf_sigma": SIGMA, **changes})


def test_one_spectrum_is_a_table_of_one_row(spectrum):
    found = table(spectrum())
    np.testing.assert_allclose(found.wavelength, WAVELENGTH[None])
    assert (found.flux == 100).all() and np.allclose(found.ivar, 0.25)
    assert found.snr == pytest.approx([50.0])
    assert np.isnan(found.rv).all() and found.kind == "survey" and found.air_formula == ""


def test_units_are_converted(spectrum):
    from astropy import units as u

    np.testing.assert_allclose(table(spectrum(WAVELENGTH / 10 * u.nm)).wavelength, WAVELENGTH[None])


def test_an_axis_that_falls_in_wavelength_is_turned_with_all_that_belongs_to_it(spectrum):
    from astropy import units as u

    flux = np.arange(50.0) + 1
    found = table(spectrum((WAVELENGTH[::-1] * u.AA).to(u.Hz, u.spectral()), flux), lsf_sigma=SIGMA[::-1])
    np.testing.assert_allclose(found.wavelength, WAVELENGTH[None])
    np.testing.assert_allclose(found.flux, flux[None, ::-1])
    np.testing.assert_allclose(found.line_spread.sigma, SIGMA[None])


@pytest.mark.parametrize("kind, value", [("StdDev", 2.0), ("Variance", 4.0), ("InverseVariance", 0.25)])
def test_every_kind_of_uncertainty_gives_the_same_ivar(spectrum, kind, value):
    from astropy import nddata

    name = kind if kind == "InverseVariance" else f"{kind}Uncertainty"
    found = table(spectrum(uncertainty=getattr(nddata, name)(np.full(50, value))))
    np.testing.assert_allclose(found.ivar, 0.25)


def test_bad_pixels_have_no_weight_and_a_finite_flux(spectrum):
    flux, mask = np.full(50, 100.0), np.zeros(50, bool)
    flux[3], mask[7] = np.nan, True
    found = table(spectrum(flux=flux, mask=mask))
    assert set(np.nonzero(found.ivar[0] == 0)[0]) == {3, 7}
    assert np.isfinite(found.flux).all() and found.snr == pytest.approx([50.0])


def test_air_becomes_vacuum_and_says_so(spectrum):
    found = table(spectrum(), medium="air")
    np.testing.assert_allclose(found.wavelength[0], air_to_vacuum(WAVELENGTH))
    assert 1.3 < found.wavelength[0, 0] - 5000 < 1.5 and found.air_formula


def test_a_velocity_that_the_spectrum_carries_is_used_unless_another_is_given(spectrum):
    from astropy import units as u

    one = spectrum(radial_velocity=-42 * u.km / u.s)
    assert table([one, spectrum()]).rv == pytest.approx([-42, np.nan], nan_ok=True)
    assert table([one, one], rv=[1.0, 2.0]).rv == pytest.approx([1, 2])


def test_several_spectra_keep_their_order_and_have_names_of_their_own(spectrum):
    import specutils

    many = specutils.SpectrumList([spectrum(flux=np.full(50, value)) for value in (1.0, 2.0, 3.0)])
    found = table(many)
    assert list(found.flux[:, 0]) == [1, 2, 3] and len(set(found.id)) == 3


def test_several_rows_and_collections_are_several_stars(spectrum):
    import specutils
    from astropy import units as u
    from astropy.nddata import StdDevUncertainty

    flux = np.arange(1, 101.0).reshape(2, 50)
    rows = table(spectrum(flux=flux))
    np.testing.assert_allclose(rows.flux, flux)
    together = specutils.SpectrumCollection(
        flux=flux * u.Jy,
        spectral_axis=np.tile(WAVELENGTH, (2, 1)) * u.AA,
        uncertainty=StdDevUncertainty(np.full(flux.shape, 2.0)),
    )
    np.testing.assert_allclose(table(together).flux, flux)


def test_errors_are_converted_to_the_unit_of_the_flux(spectrum):
    from astropy import units as u
    from astropy.nddata import StdDevUncertainty

    noise = StdDevUncertainty(np.full(50, 20.0), unit=u.Unit("erg/(s cm2 nm)"))
    np.testing.assert_allclose(table(spectrum(uncertainty=noise)).ivar, 0.25)


def test_what_float32_does_not_hold_is_scaled(spectrum):
    from astropy.nddata import StdDevUncertainty

    tiny = spectrum(flux=np.full(50, 1e-26), uncertainty=StdDevUncertainty(np.full(50, 2e-28)))
    found = table(tiny)
    np.testing.assert_allclose(found.flux, 1.0)
    np.testing.assert_allclose(found.ivar, 2500.0, rtol=1e-5)
    assert found.snr == pytest.approx([50.0])


def test_widths_may_be_a_function_of_wavelength(spectrum):
    found = table(spectrum(), lsf_sigma=lambda at: at / 5000)
    np.testing.assert_allclose(found.lsf_sigma[0], WAVELENGTH / 5000)


def test_what_cannot_be_used_is_named(spectrum):
    from astropy import units as u

    bare = spectrum()
    bare.uncertainty = None
    short = spectrum(WAVELENGTH[:20] * u.AA)
    cases = [
        (spectrum(), {"medium": ""}, "medium.*'vacuum' or 'air'"),
        (spectrum(), {"medium": "water"}, "medium.*'water'"),
        (bare, {}, "uncertainty.*no errors"),
        ([spectrum(), short], {}, "spectral_axis.*different numbers"),
        ([], {}, "spectra.*empty"),
        (spectrum(flux=np.ones((2, 2, 50))), {}, r"flux.*\(2, 2, 50\)"),
        (spectrum(), {"lsf_sigma": SIGMA[1:]}, "lsf_sigma.*shape"),
        (spectrum(uncertainty=np.ones(50)), {}, "uncertainty.*StdDevUncertainty"),
        (spectrum(np.arange(50) * u.pix), {}, "spectral_axis.*pix"),
    ]
    for spectra, changes, message in cases:
        with pytest.raises(DataError, match=message):
            table(spectra, **changes)
