"""Observed spectra in whatever form a user has them, cut to what a bridge knows."""

from pathlib import Path
from typing import Any

import numpy as np

from synth2obs.analysis.right_survey import check_survey
from synth2obs.core.errors import DataError
from synth2obs.core.spectra import Spectra
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
    if found.kind != "survey" or found.ivar is None:
        raise DataError(f"is a {found.kind} without errors", field="ivar", remedy="give observed spectra")
    ends = float(model.wavelength.min()) - 1.0, float(model.wavelength.max()) + 1.0
    cut = cut_wavelengths(found, *ends)
    if not force:
        check_survey(bridge, cut, survey, (float(found.wavelength.min()), float(found.wavelength.max())))
    return cut


def _read(bridge: Bridge, spectra: Any, survey: str, medium: str) -> Spectra:
    if isinstance(spectra, Spectra):
        return spectra
    if isinstance(spectra, str | Path):
        return read_shard(resolve(spectra))
    model = bridge.survey(survey)
    first = spectra[0] if isinstance(spectra, list | tuple) else spectra
    if not hasattr(first, "spectral_axis"):
        raise DataError(
            f"cannot read spectra from a {type(first).__name__}",
            field="spectra",
            remedy="give a shard's path, Spectra, or specutils spectra",
        )
    from synth2obs.io.interop import from_specutils

    axis = first.spectral_axis.to_value("Angstrom")
    sigma = np.interp(axis, model.wavelength.numpy(), model.lsf_sigma.numpy())
    return from_specutils(spectra, survey=survey, medium=medium, lsf_sigma=sigma)
