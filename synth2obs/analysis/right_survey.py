"""Whether spectra are of the survey that they are said to be: a wrong one would shift labels without a word."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.errors import DataError
from synth2obs.core.spectra import Spectra
from synth2obs.models.bridge import Bridge

WIDER = 1.15
"""Factor between the line spread of spectra, median over stars and pixels, and the survey's that is refused."""

COARSER = 1.5
"""The same for pixels."""

OVERLAP, WITHIN = 0.1, 0.5
"""Share of the survey's range that spectra must reach, or of their own that must lie in it."""


def check_survey(bridge: Bridge, spectra: Spectra, survey: str, whole: tuple[float, float]) -> None:
    """Refuse spectra whose domain, wavelengths or line spread are not those of a survey that a bridge knows.

    Args:
        bridge: Trained.
        spectra: Observed, cut to the wavelengths that the bridge knows.
        survey: By which survey they are said to be.
        whole: First and last wavelength that they had before, in Å.

    Raises:
        DataError: Naming everything that does not fit.
    """
    wrong = list(_differences(bridge, spectra, survey, whole))
    if wrong:
        raise DataError(
            f"these do not look like spectra of {survey}: {'; '.join(wrong)}",
            field="survey",
            remedy=f"name another of {', '.join(bridge.surveys)}, or say force=True (--force) if they are its spectra",
        )


def _differences(bridge: Bridge, spectra: Spectra, survey: str, whole: tuple[float, float]) -> Iterator[str]:
    if spectra.domain != survey and spectra.domain in _others(bridge, survey):
        yield f"their domain is {spectra.domain!r}, another survey of this bridge"
    model, grid = bridge.survey(survey), np.atleast_2d(np.asarray(spectra.wavelength, float))
    own, sigma = model.wavelength.numpy(), model.lsf_sigma.numpy()
    low, high = max(grid.min(), own.min()), min(grid.max(), own.max())
    if high - low < min(OVERLAP * (own.max() - own.min()), WITHIN * (whole[1] - whole[0])):
        ends = (f"{low:.0f} to {high:.0f} Å" for low, high in (whole, (own.min(), own.max())))
        yield "they reach from {}, the survey from {}".format(*ends)
        return
    if grid.shape[1] < 2:
        return
    common = (own >= low) & (own <= high)
    yield from _unlike(
        "FWHM", FWHM_PER_SIGMA * spectra.line_spread.sigma, FWHM_PER_SIGMA * sigma[common], WIDER
    )
    yield from _unlike("pixels", np.diff(grid, axis=1), np.diff(own[common]), COARSER)


def _unlike(
    what: str, found: NDArray[np.floating[Any]], usual: NDArray[np.float64], factor: float
) -> Iterator[str]:
    """Says it where medians in Å differ by more than a factor."""
    here, there = float(np.median(found)), float(np.median(usual))
    if not 1 / factor < here / there < factor:
        yield f"their {what} {'is' if what == 'FWHM' else 'are'} {here:.2f} Å, the survey's {there:.2f} Å (medians)"


def _others(bridge: Bridge, survey: str) -> set[str]:
    """Domains of the bridge's other surveys; what taught a survey is remembered in the card."""
    known = bridge.card.get("surveys", {})
    return {str(known.get(name, {}).get("domain", name)) for name in bridge.surveys if name != survey}
