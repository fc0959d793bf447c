"""Spectra of test stars for the report's viewer: as few bytes as a reader's eye needs."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth2obs.analysis.survey_gap import Arrays
from synth2obs.analysis.trials import Tested
from synth2obs.core.constants import FLUX_BAD, FLUX_UNIT
from synth2obs.models.fit.restframe import to_rest
from synth2obs.models.fit.result import LabelFit

STARS = 1000
"""Most stars whose spectra are kept, unless others are wanted."""


def star_spectra(tested: Tested, most: int = STARS) -> Arrays:
    """Test stars with their labels fitted, in the rest frame of the morph's fit, divided by its continuum.

    Theory is drawn so that observed minus theory is the residual of theory's own fit; only the two fits' continua may
    differ, and their ratio goes with theory.

    Args:
        tested: Every method on the test stars.
        most: Stars that are kept: those of the worst χ² if there are more.

    Returns:
        ``spectra_star`` (S,), rows of the test stars, and ``spectra_observed``, ``spectra_theory``, ``spectra_morph``
        (S, L) as `counted` writes them.
    """
    morph, theory = tested.trials["morph"].free, tested.trials["theory"].free
    rows = worst(morph.chi2_per_pixel, most)
    seen, morph, theory = tested.seen.take(rows), morph.take(rows), theory.take(rows)
    observed = morph.spectrum + morph.residual
    curves = {"observed": observed, "theory": observed - theory.residual, "morph": morph.spectrum}
    grid = tested.bridge.decoder_of(tested.survey).rest_wavelength
    spectra = {
        f"spectra_{name}": counted(*to_rest(seen, morph, grid, values)) for name, values in curves.items()
    }
    return {"spectra_star": rows.numpy(), **spectra}


def worst(chi2: Tensor, most: int) -> Tensor:
    """Rows of the stars with the largest χ², (N,) → at most ``most``, in their own order."""
    order = torch.argsort(chi2, descending=True, stable=True)[:most]
    return torch.sort(order).values


def counted(flux: Tensor, ivar: Tensor) -> NDArray[np.int16]:
    """Flux in units of `FLUX_UNIT`, clipped to what 16 bits hold; `FLUX_BAD` where it is not known. Shapes (S, L)."""
    good = (ivar > 0) & flux.isfinite()
    whole = (flux / FLUX_UNIT).round().clamp(FLUX_BAD + 1, -(FLUX_BAD + 1))
    return whole.where(good, FLUX_BAD).to(torch.int16).numpy()


def free_fits(tested: Tested) -> Arrays:
    """How well every test star is fitted with its labels free, shape (T,): χ² per pixel, share of good pixels."""
    morph: LabelFit = tested.trials["morph"].free
    return {
        "chi2_free_theory": tested.trials["theory"].free.chi2_per_pixel.numpy(),
        "chi2_free_morph": morph.chi2_per_pixel.numpy(),
        "good_pixels": (morph.pixels / morph.residual.shape[1]).numpy(),
    }


def outside_labels(tested: Tested) -> NDArray[np.str_]:
    """Names of the fitted labels that lie outside the grid, joined by commas, shape (T,)."""
    labels, scale = tested.bridge.labels, tested.bridge.scale
    table = labels.outside(scale.inverse(tested.trials["morph"].free.x).numpy())
    found = [", ".join(n for n, out in zip(labels.names, row, strict=True) if out) for row in table]
    return np.array(found, dtype=np.str_)
