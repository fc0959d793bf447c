"""Whether a gap's errors hold the truth."""

from types import SimpleNamespace

import numpy as np
import pytest

from synth2obs.analysis.proof.line_scores import Found, _coverage

CELLS = 6000
WAVELENGTH = np.linspace(5000.0, 5500.0, CELLS)
TRUE = 0.02 * np.sin(WAVELENGTH / 7.0)


@pytest.mark.parametrize(("factor", "share"), [(1.0, 0.683), (2.0, 0.383), (0.5, 0.954)])
def test_normal_errors_are_covered_as_often_as_they_say(factor, share):
    noise = np.random.default_rng(0).normal(0.0, 0.003 * factor, CELLS)
    known = np.arange(CELLS) < 5500
    gap = {
        "gap_mean": np.where(known, TRUE + noise, np.nan),
        "gap_error": np.full(CELLS, 0.003),
        "difference_mean": np.where(known, TRUE + noise, np.nan),
    }
    found = Found(WAVELENGTH, gap, TRUE + noise, [], 2.0, 500)
    truth = SimpleNamespace(gap_wavelength=WAVELENGTH, gap=TRUE)
    score = _coverage(found, truth, 50)["gap_pull"]
    assert score.value == pytest.approx(share, abs=0.03) and 0.0 < score.error < 0.05
