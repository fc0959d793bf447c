"""Observed spectra in whatever form a user has them, cut to what a bridge knows."""

from pathlib import Path
from typing import Any

import numpy as np

from synth2obs.analysis.right_survey import check_survey
from synth2obs.core.errors import DataError
from synth2obs.core.spectra import Spectra
from synth2obs.core.weights import marked_bad
from synth2obs.io.embedded import resolve
from synth2obs.io.reduce import cut_wavelengths
from synth2obs.io.shard.read import read_shard
from synth2obs.models.bridge import Bridge


def as_spectra(
    bridge: Bridge, spectra: Any, survey: str, medium: str = "", *, force: bool = False
) -> Spectra:
    """Spectra in whatever form, cut to the wavelengths that the bridge knows.

    Args:
        bridge: Trained.
        spectra: A shard's path, `Spectra`, or specutils spectra.
        survey: By which survey they were observed.
        medium: ``vacuum`` or ``air``, for specutils spectra.
        force: Take them even if they do not look like that survey's.

    Raises:
        DataError: If they cannot be used, have no pixel in that range, or are not that survey's.
    """
    model = bridge.survey(survey)
    found = _read(bridge, spectra, survey, medium)
    if not len(found):
        raise DataError("is empty", field="spectra", remedy="give at least one spectrum")
    if found.kind != "survey" or found.ivar is None:
        raise DataError(f"is a {found.kind} without errors", field="ivar", remedy="give observed spectra")
    ends = float(model.wavelength.min()) - 1.0, float(model.wavelength.max()) + 1.0
    cut = _without_marks(cut_wavelengths(found, *ends))
    if not force:
        check_survey(bridge, cut, survey, (float(found.wavelength.min()), float(found.wavelength.max())))
    return cut


def _read(bridge: Bridge, spectra: Any, survey: str, medium: str) -> Spectra:
    if isinstance(spectra, Spectra):
        return spectra
    if isinstance(spectra, str | Path):
        return read_shard(resolve(spectra))
    from synth2obs.io.interop import from_specutils

    model = bridge.survey(survey)
    own, sigma = model.wavelength.numpy(), model.lsf_sigma.numpy()
    return from_specutils(
        spectra, survey=survey, medium=medium, lsf_sigma=lambda at: np.interp(at, own, sigma)
    )


def _without_marks(spectra: Spectra) -> Spectra:
    """The same without pixels whose errors only say that they are bad."""
    with np.errstate(divide="ignore"):
        error = np.asarray(spectra.ivar, float) ** -0.5
    return spectra.masked(marked_bad(spectra.flux, error))
