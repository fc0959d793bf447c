"""What an instrument refuses, flags and looks up."""

import numpy as np
import pytest
import torch

from synth2obs.core.errors import DataError
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.wavelengths import log_grid
from synth2obs.physics import Instrument, broaden, doppler_shift, log_doppler, velocity_of_shift

REST = log_grid(5000.0, 5100.0, 8e-5)
REST_SIGMA = REST / 6000 / 2.355
PIXELS = np.arange(5020.0, 5080.0, 0.9)
SEGMENT = np.zeros(len(PIXELS), int)
SIGMA = np.full(len(PIXELS), 1.06)


def spectra(count: int) -> torch.Tensor:
    return torch.rand(count, len(REST), generator=torch.Generator().manual_seed(1), dtype=torch.float64)


class TestRefuses:
    def test_survey_sharper_than_the_grid(self):
        with pytest.raises(
            DataError, match=r"line_spread\.sigma.*5079\.4 Å.*0\.3000 Å.*higher resolving power"
        ):
            Instrument(REST, PIXELS, SEGMENT, LineSpread.gaussian(SIGMA * 0 + 0.3), REST_SIGMA)

    @pytest.mark.parametrize("value", [np.nan, 0.0, -1.0])
    def test_wavelength_that_is_none(self, value):
        pixels = PIXELS.copy()
        pixels[3] = value
        with pytest.raises(DataError, match=r"wavelength.*Å.*\[0, 3\]|wavelength.*Å.*\[3\]"):
            Instrument(REST, pixels, SEGMENT, LineSpread.gaussian(SIGMA), REST_SIGMA)

    def test_rest_grid_that_is_not_logarithmic(self):
        with pytest.raises(DataError, match="ln λ"):
            Instrument(np.linspace(5000, 5100, 200), PIXELS, SEGMENT, LineSpread.gaussian(SIGMA), 0.3)

    def test_groups_without_stars(self):
        with pytest.raises(DataError, match=r"line_spread\.group.*no star says"):
            Instrument(REST, PIXELS, SEGMENT, LineSpread.gaussian(np.stack([SIGMA, SIGMA])), REST_SIGMA)

    def test_group_out_of_range(self):
        with pytest.raises(DataError, match="rows 0 to 2"):
            Instrument(
                REST, PIXELS, SEGMENT, LineSpread.gaussian(np.stack([SIGMA, SIGMA]), group=[0, 2]), REST_SIGMA
            )

    def test_segment_of_another_length(self):
        with pytest.raises(DataError, match="segment"):
            Instrument(REST, PIXELS, SEGMENT[1:], LineSpread.gaussian(SIGMA), REST_SIGMA)

    def test_flux_on_another_grid(self):
        instrument = Instrument(REST, PIXELS, SEGMENT, LineSpread.gaussian(SIGMA), REST_SIGMA)
        with pytest.raises(ValueError, match=f"flux has 9 samples.*{len(REST)}"):
            instrument(torch.ones(1, 9), torch.zeros(1))

    @pytest.mark.parametrize("value", [float("nan"), 3e5])
    def test_velocity_that_is_none(self, value):
        instrument = Instrument(REST, PIXELS, SEGMENT, LineSpread.gaussian(SIGMA), REST_SIGMA)
        with pytest.raises(ValueError, match="rv in km/s must be finite"):
            instrument(torch.ones(2, len(REST)), torch.tensor([0.0, value]))

    def test_line_spread_longer_than_the_grid(self):
        wide = Instrument(REST, PIXELS, SEGMENT, LineSpread.gaussian(SIGMA * 30), REST_SIGMA)
        with pytest.raises(ValueError, match="rest_wavelength"):
            wide(torch.ones(1, len(REST)), torch.zeros(1))

    def test_unknown_star_of_own_pixels(self):
        own = Instrument(
            REST, np.stack([PIXELS, PIXELS + 0.3]), SEGMENT, LineSpread.gaussian(SIGMA), REST_SIGMA
        )
        for call in (own.forward, lambda _, rv: own.project(torch.ones(len(REST), 2), rv)):
            with pytest.raises(ValueError, match="stars is needed"):
                call(torch.ones(3, len(REST)), torch.zeros(3))

    def test_line_spread_below_a_sample_on_the_rest_grid(self):
        with pytest.raises(ValueError, match="at least one sample"):
            broaden(torch.ones(1, 50), 8e-5, torch.full((50,), 4e-5))


class TestEnds:
    def test_pixels_near_the_ends_are_flagged_and_zero(self):
        wide = Instrument(
            REST,
            np.arange(4990.0, 5110.0, 0.9),
            np.zeros(134),
            LineSpread.gaussian(np.full(134, 1.06)),
            REST_SIGMA,
        )
        rv = torch.tensor([0.0, 300.0], dtype=torch.float64, requires_grad=True)
        out, valid = wide(spectra(2) + 1.0, rv), wide.valid(rv)
        assert valid.any(1).all() and not valid.all(1).any()
        assert (out[valid] > 0.9).all() and (out[~valid] == 0).all()
        assert (valid[0].nonzero()[0] < valid[1].nonzero()[0]).all()
        out.sum().backward()
        assert torch.isfinite(rv.grad).all()

    def test_nothing_beyond_the_ends_is_used(self):
        """A pixel is valid exactly when its whole window lies on the grid: longer grids do not change it."""
        short = Instrument(REST, PIXELS, SEGMENT, LineSpread.gaussian(SIGMA), REST_SIGMA)
        longer = log_grid(4950.0, 5200.0, 8e-5)
        shift = np.searchsorted(longer, REST[0])
        longer = longer * REST[0] / longer[shift]
        flux = torch.rand(1, len(longer), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        rv = torch.tensor([1500.0], dtype=torch.float64)
        valid = short.valid(rv)
        assert 0 < valid.sum() < valid.numel()
        other = Instrument(longer, PIXELS, SEGMENT, LineSpread.gaussian(SIGMA), longer / 6000 / 2.355)
        cut = flux[:, shift : shift + len(REST)]
        torch.testing.assert_close(short(cut, rv)[valid], other(flux, rv)[valid], rtol=1e-6, atol=0)


class TestRows:
    def test_own_pixels_equal_shared_pixels(self):
        both = np.stack([PIXELS, PIXELS + 0.31])
        own = Instrument(REST, both, SEGMENT, LineSpread.gaussian(SIGMA), REST_SIGMA)
        rv = torch.tensor([12.0, -8.0, 3.0], dtype=torch.float64)
        stars = torch.tensor([1, 0, 1])
        got = own(spectra(3), rv, stars=stars)
        for row, star in enumerate(stars):
            alone = Instrument(REST, both[star], SEGMENT, LineSpread.gaussian(SIGMA), REST_SIGMA)
            torch.testing.assert_close(got[row], alone(spectra(3), rv)[row])
        assert torch.equal(own.valid(rv, stars=stars), torch.ones(3, len(PIXELS), dtype=torch.bool))

    @pytest.mark.parametrize("own_pixels", [False, True])
    def test_each_star_has_the_line_spread_of_its_group(self, own_pixels):
        wavelength = np.stack([PIXELS] * 3) if own_pixels else PIXELS
        grouped = Instrument(
            REST,
            wavelength,
            SEGMENT,
            LineSpread.gaussian(np.stack([SIGMA, 2 * SIGMA]), group=[1, 0, 1]),
            REST_SIGMA,
        )
        rv = torch.zeros(3, dtype=torch.float64)
        for stars in (None, torch.tensor([2, 1, 0])):
            got = grouped(spectra(3), rv, stars=stars)
            projected = grouped.project(spectra(3).T, rv, stars=stars)
            for row, factor in enumerate([2, 1, 2]):
                alone = Instrument(REST, PIXELS, SEGMENT, LineSpread.gaussian(factor * SIGMA), REST_SIGMA)(
                    spectra(3), rv
                )[row]
                torch.testing.assert_close(got[row], alone, rtol=1e-6, atol=0)
                torch.testing.assert_close(projected[row, :, row], alone, rtol=1e-6, atol=0)

    def test_project_in_chunks_is_forward_on_every_function(self, monkeypatch):
        instrument = Instrument(REST, PIXELS, SEGMENT, LineSpread.gaussian(SIGMA), REST_SIGMA)
        rv = torch.linspace(-50, 90, 5, dtype=torch.float64)
        monkeypatch.setattr("synth2obs.physics.instrument.CHUNK", 2 * instrument.window() * len(PIXELS))
        basis = spectra(4).T
        got = instrument.project(basis, rv, 1.2)
        for k in range(4):
            torch.testing.assert_close(got[..., k], instrument(basis[:, k].expand(5, -1), rv, 1.2))

    def test_width_scale_multiplies_the_survey_width(self):
        rv = torch.zeros(1, dtype=torch.float64)
        scaled = Instrument(REST, PIXELS, SEGMENT, LineSpread.gaussian(SIGMA), REST_SIGMA)(
            spectra(1), rv, torch.tensor(1.5)
        )
        plain = Instrument(REST, PIXELS, SEGMENT, LineSpread.gaussian(1.5 * SIGMA), REST_SIGMA)(
            spectra(1), rv
        )
        torch.testing.assert_close(scaled, plain)

    def test_no_stars_give_no_rows(self):
        instrument = Instrument(REST, PIXELS, SEGMENT, LineSpread.gaussian(SIGMA), REST_SIGMA)
        assert instrument(torch.ones(0, len(REST)), torch.zeros(0)).shape == (0, len(PIXELS))
        assert instrument.project(torch.ones(len(REST), 3), torch.zeros(0)).shape == (0, len(PIXELS), 3)

    @pytest.mark.filterwarnings("ignore:.*torch.jit.script.*is deprecated:DeprecationWarning")
    def test_velocity_column_by_forward_differentiation(self):
        instrument, flux = (
            Instrument(REST, PIXELS, SEGMENT, LineSpread.gaussian(SIGMA), REST_SIGMA),
            spectra(2),
        )
        rv, ones = torch.tensor([5.0, -9.0], dtype=torch.float64), torch.ones(2, dtype=torch.float64)
        _, column = torch.func.jvp(lambda v: instrument(flux, v), (rv,), (ones,))
        slope = (instrument(flux, rv + 1e-3) - instrument(flux, rv - 1e-3)) / 2e-3
        torch.testing.assert_close(column, slope, rtol=1e-5, atol=1e-9)

    def test_state_dict_does_not_carry_pixels(self):
        assert not Instrument(REST, PIXELS, SEGMENT, LineSpread.gaussian(SIGMA), REST_SIGMA).state_dict()


def test_velocity_round_trip_and_shift():
    rv = torch.linspace(-2000, 2000, 9, dtype=torch.float64)
    torch.testing.assert_close(velocity_of_shift(log_doppler(rv)), rv)
    shifted = doppler_shift(torch.tensor([8.5, 8.6], dtype=torch.float64), rv)
    assert shifted.shape == (9, 2) and shifted[-1, 0] > 8.5


def test_no_star_of_several_widths_is_an_empty_batch():
    spread = LineSpread.gaussian(np.stack([SIGMA, 1.1 * SIGMA]), group=[0, 1])
    instrument, none = Instrument(REST, PIXELS, SEGMENT, spread, REST_SIGMA), torch.zeros(0)
    rows = torch.zeros(0, dtype=torch.int64)
    assert instrument.valid(none, stars=rows).shape == (0, len(PIXELS))
    assert instrument(spectra(0), none.double(), stars=rows).shape == (0, len(PIXELS))
