"""Spectra of another survey are refused, and stars that taught a bridge are not called new."""

from dataclasses import replace

import numpy as np
import pytest

import synth2obs as s2o
from synth2obs.analysis.new_stars import new_stars
from synth2obs.core.errors import DataError
from synth2obs.core.line_spread import LineSpread


@pytest.fixture(scope="module")
def far(bridge, labels_of, stars_of):
    return stars_of("far", bridge.predict(labels_of(9, seed=5, share=0.5), "far"), snr=200)


def test_its_own_spectra_are_taken(bridge, far):
    assert len(s2o.encode(bridge, far, "far").id) == 9


@pytest.mark.parametrize("function", [s2o.encode, s2o.fit_labels, s2o.measure_gap])
def test_those_of_another_survey_are_refused_by_all_functions(bridge, far, function):
    with pytest.raises(DataError, match="do not look like spectra of near.*domain is 'far'.*force=True"):
        function(bridge, far, "near")


def test_force_takes_them(bridge, far):
    assert len(s2o.encode(bridge, far, "near", force=True).id) == 9


def test_line_spread_and_pixels_are_compared(bridge, far):
    wide = replace(
        far, line_spread=LineSpread(sigma=1.3 * far.line_spread.sigma, group=far.line_spread.group)
    )
    with pytest.raises(DataError, match="FWHM"):
        s2o.encode(bridge, wide, "far")
    close = replace(
        far, line_spread=LineSpread(sigma=1.05 * far.line_spread.sigma, group=far.line_spread.group)
    )
    s2o.encode(bridge, close, "far")
    coarse = replace(
        far,
        wavelength=far.wavelength[::2],
        segment=far.segment[::2],
        flux=far.flux[:, ::2],
        ivar=far.ivar[:, ::2],
        line_spread=LineSpread(sigma=far.line_spread.sigma[:, ::2], group=far.line_spread.group),
    )
    with pytest.raises(DataError, match="pixels are"):
        s2o.encode(bridge, coarse, "far")


def test_a_shard_of_a_name_of_its_own_is_taken(bridge, far):
    s2o.encode(bridge, replace(far, domain="night_7"), "far")


class TestNewStars:
    @pytest.fixture
    def taught(self, bridge, far, monkeypatch):
        monkeypatch.setattr(
            bridge, "card", {"surveys": {"far": {"domain": "far", "stars": far.id[:4].tolist()}}}
        )
        return bridge

    def test_those_that_taught_are_left_out(self, taught, far):
        found = new_stars(taught, far, "far", "leave out")
        np.testing.assert_array_equal(found.spectra.id, far.id[4:])
        assert (
            found.about(taught, far)["stars"]
            == "5 stars that did not teach the bridge; 4 that did are left out"
        )

    def test_or_kept_and_said(self, taught, far):
        found = new_stars(taught, far, "far", "keep")
        assert len(found.spectra) == 9 and "4 taught the bridge" in found.about(taught, far)["stars"]

    def test_all_of_them_are_refused(self, taught, far):
        with pytest.raises(DataError, match="all 4 stars taught the bridge"):
            new_stars(taught, far.take(np.arange(4)), "far", "leave out")

    def test_a_bridge_that_does_not_remember_says_so(self, bridge, far):
        found = new_stars(bridge, far, "far", "leave out")
        assert "is not known" in found.about(bridge, far)["stars"] and len(found.spectra) == 9

    def test_the_page_says_what_the_stars_are(self, taught, far, tmp_path):
        told = []
        page = s2o.calibration_report(taught, far, "far", tmp_path / "page.html", say=told.append)
        text = page.read_text(encoding="utf-8")
        assert "5 stars that did not teach the bridge; 4 that did are left out" in text
        assert "Spectra in memory" in text and any("theory" in line for line in told)
        assert "held-out stars" not in text.lower().replace("-", "‑").replace("‑", "-").split("</header>")[0]

    def test_another_word_is_refused(self, taught, far):
        with pytest.raises(DataError, match="leave out"):
            new_stars(taught, far, "far", "maybe")
