"""Spectra that a model must not pass off as a star of its own: rotators, binaries, short windows, no light at all."""

from dataclasses import replace

import numpy as np
import pytest

from synth2obs.analysis.flags import FEW_PIXELS, POOR_FIT, WIDTH
from synth2obs.analysis.labels import labels_of
from synth2obs.analysis.morph_labels import morph_labels

COUNT = 4


@pytest.fixture(scope="module")
def kinds(labels_of, by_name):
    return by_name(labels_of(COUNT, seed=11, share=0.5))


@pytest.fixture(scope="module")
def fitted(bridge, kinds, stars_of):
    def fit(flux, snr=150, **options):
        return labels_of(bridge, stars_of("far", flux, snr=snr), "far", population=False, **options)

    return fit


def test_lines_as_wide_as_the_surveys_are_no_matter(bridge, kinds, fitted):
    assert not (fitted(morph_labels(bridge, kinds, "far").flux).flags & WIDTH).any()


def test_a_star_that_rotates_is_flagged_unless_its_vsini_is_known_or_found(bridge, kinds, fitted):
    flux = morph_labels(bridge, kinds, "far", vsini=350.0).flux
    assert (fitted(flux).flags & WIDTH > 0).all()
    assert not (fitted(flux, vsini=350.0).flags & WIDTH).any()
    assert not (fitted(flux, vsini="fit").flags & WIDTH).any()


def test_two_stars_in_one_spectrum_are_flagged(bridge, kinds, fitted):
    here, there = (morph_labels(bridge, kinds, "far", np.full(COUNT, rv)).flux for rv in (-150.0, 150.0))
    flags = fitted(0.5 * (here + there)).flags
    assert (flags & (WIDTH | POOR_FIT) > 0).all()


def test_lines_narrower_than_the_surveys_are_flagged(bridge, kinds, stars_of):
    own = stars_of("far", morph_labels(bridge, kinds, "far").flux, snr=150)
    spread = replace(own.line_spread, sigma=1.6 * own.line_spread.sigma)
    found = labels_of(bridge, replace(own, line_spread=spread), "far", population=False)
    assert (found.flags & WIDTH > 0).all()


def test_a_window_of_few_of_the_surveys_pixels_is_flagged(bridge, kinds, stars_of):
    from synth2obs.io.reduce import cut_wavelengths

    whole = stars_of("far", morph_labels(bridge, kinds, "far").flux, snr=150)
    for stop, few in ((5070.0, True), (5250.0, False)):
        window = cut_wavelengths(whole, 5050.0, stop)
        flags = labels_of(bridge, window, "far", population=False).flags
        assert ((flags & FEW_PIXELS > 0) == few).all()


@pytest.mark.parametrize("factor", [-1.0, 0.0])
def test_a_continuum_that_is_not_positive_is_a_poor_fit(bridge, kinds, stars_of, factor):
    star = stars_of("far", morph_labels(bridge, kinds, "far").flux, snr=150)
    found = labels_of(bridge, replace(star, flux=factor * star.flux), "far", population=False)
    assert (found.flags & POOR_FIT > 0).all()
