"""The public functions: spectra in any common form in, tables and arrays out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from synth2obs.analysis.labels import FLAGS, Latents, labels_of, latents_of
from synth2obs.analysis.morph import Morphed, morph_labels, morph_spectra
from synth2obs.analysis.remeasure import GapMeasurement, remeasure, survey_metrics
from synth2obs.core.constants import METRICS_FORMAT
from synth2obs.core.errors import DataError
from synth2obs.core.spectra import Spectra
from synth2obs.io.embedded import resolve
from synth2obs.io.interop import from_specutils
from synth2obs.io.reduce import cut_wavelengths
from synth2obs.io.shard.read import read_shard
from synth2obs.models.bridge import Bridge
from synth2obs.reports.catalogue import label_table
from synth2obs.reports.survey import write_report
from synth2obs.training.tracking.fetch import fetch_bundle

ADDRESSES = ("models:/", "runs:/", "mlflow-artifacts:/")


def load_bridge(where: str | Path, store: str | Path | None = None) -> Bridge:
    """A trained bridge.

    Args:
        where: The folder of a bundle, or an MLflow address such as ``models:/optical@champion``.
        store: Folder of ``mlflow.db`` for an address; by default the environment's ``MLFLOW_TRACKING_URI``.

    Raises:
        ModelError: If nothing is there, or it is damaged.
    """
    if str(where).startswith(ADDRESSES):
        return Bridge.load(fetch_bundle(str(where), store))
    return Bridge.load(where)


def morph(
    bridge: Bridge,
    *,
    survey: str,
    labels: Mapping[str, ArrayLike] | None = None,
    spectrum: Any = None,
    rv: ArrayLike | None = None,
    source: str | None = None,
    medium: str = "",
) -> Morphed:
    """What a survey sees of a star that is given by labels or by a spectrum; batched.

    Args:
        bridge: Trained.
        survey: Whose native pixels are wanted.
        labels: Name → value or values, e.g. ``{"teff": 5777, "logg": 4.44, "fe_h": 0.0}``. A label outside the grid is
            answered and flagged.
        spectrum: Spectra of ``source``: a shard's path, `Spectra`, or specutils spectra.
        rv: km/s, positive receding; 0 for labels, the spectrum's own velocity for spectra, if left out.
        source: Survey of the spectrum; ``survey`` if left out.
        medium: ``vacuum`` or ``air``, for specutils spectra.

    Raises:
        DataError: If both or neither of labels and spectrum are given, or a value is not usable.
        ModelError: For an unknown survey.
    """
    if (labels is None) == (spectrum is None):
        raise DataError("give labels= or spectrum=, one of them", field="labels, spectrum")
    if labels is not None:
        return morph_labels(bridge, labels, survey, 0.0 if rv is None else rv)
    own = source or survey
    return morph_spectra(bridge, as_spectra(bridge, spectrum, own, medium), own, survey, rv)


def encode(bridge: Bridge, spectra: Any, survey: str, *, medium: str = "") -> Latents:
    """Latent mean and covariance, velocity and χ² of observed spectra; arguments as for `fit_labels`."""
    return latents_of(bridge, as_spectra(bridge, spectra, survey, medium), survey)


def fit_labels(
    bridge: Bridge, spectra: Any, survey: str, *, medium: str = "", population: bool = True
) -> Any:
    """Labels with errors of observed spectra, fitted through the survey's morph and gap.

    Args:
        bridge: Trained.
        spectra: A shard's path (or ``embedded:miles``), `Spectra`, or specutils spectra.
        survey: By which survey they were observed.
        medium: ``vacuum`` or ``air``, for specutils spectra.
        population: Use the stellar-evolution prior.

    Returns:
        An `astropy.table.Table`: id, every label with its error and unit, rv, chi2, pixels, flags (bits explained in
        ``table.meta["flags"]``).
    """
    found = labels_of(bridge, as_spectra(bridge, spectra, survey, medium), survey, population=population)
    columns = {name: getattr(found, name) for name in ("id", "rv", "rv_error", "chi2", "pixels", "flags")}
    return label_table(columns, found.values, found.errors, FLAGS)


def measure_gap(bridge: Bridge, spectra: Any, survey: str, *, medium: str = "") -> GapMeasurement:
    """The gap between theory and these spectra, with its posterior and its strongest lines.

    It is measured anew from the given spectra, at the labels that the bridge gives them.
    """
    return remeasure(bridge, as_spectra(bridge, spectra, survey, medium), survey)


def calibration_report(
    bridge: Bridge, spectra: Any, survey: str, out: str | Path, *, medium: str = ""
) -> Path:
    """One HTML page about a survey's spectra: theory against morph, the gap, labels where the literature has them.

    Baselines need a training and are not on this page; ``synth2obs train`` writes the whole report.
    """
    metrics, arrays = survey_metrics(bridge, as_spectra(bridge, spectra, survey, medium), survey)
    whole = {
        "format": METRICS_FORMAT,
        "surveys": {survey: metrics},
        "run": {**bridge.card, "reasons": {survey: {"anchored_rms": "baselines are measured in training"}}},
    }
    return write_report(whole, arrays, survey, Path(out))


def as_spectra(bridge: Bridge, spectra: Any, survey: str, medium: str = "") -> Spectra:
    """Spectra in whatever form, cut to the wavelengths that the bridge knows.

    Raises:
        DataError: If they cannot be used, or have no pixel in that range.
    """
    model = bridge.survey(survey)
    found = _read(bridge, spectra, survey, medium)
    if found.kind != "survey" or found.ivar is None:
        raise DataError(f"is a {found.kind} without errors", field="ivar", remedy="give observed spectra")
    return cut_wavelengths(found, float(model.wavelength.min()) - 1.0, float(model.wavelength.max()) + 1.0)


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
    axis = first.spectral_axis.to_value("Angstrom")
    sigma = np.interp(axis, model.wavelength.numpy(), model.lsf_sigma.numpy())
    return from_specutils(spectra, survey=survey, medium=medium, lsf_sigma=sigma)
