"""The saved bridge as an MLflow model: labels in, what a survey sees out.

MLflow keeps this file as the model's code ("models from code") and the bundle folder as its only artifact, so nothing
is pickled; whoever loads the model needs synth2obs installed.

The model's signature names no inputs: MLflow would drop a column that it does not name, with a warning on the server,
and a typo in a label would be answered with a default. What a request gets wrong is MLflow's
``INVALID_PARAMETER_VALUE``, which its server answers with HTTP 400.
"""

import os
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from numpy.typing import NDArray

from synth2obs.core.errors import DataError, Synth2ObsError
from synth2obs.training.tracking.registry import BUNDLE

SERVING = "_MLFLOW_IS_IN_SERVING_ENVIRONMENT"
"""Variable that MLflow's server sets: its answer is JSON, which has no word for NaN."""


class BridgeModel(PythonModel):
    """Predicts what a survey sees of stars with given labels."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the bundle."""
        from synth2obs.models.bundle import load_bundle

        self.bridge = load_bundle(context.artifacts[BUNDLE])

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Spectra on a survey's native pixels, as `synth2obs.morph` gives them.

        Args:
            context: Not used.
            model_input: A DataFrame, records or columns: a row a star, a column a label in the grid's units. Labels
                that are left out are what is usual for the star, as in `synth2obs.morph`.
            params: ``survey``, one of the bridge's; ``rv``, ``vsini`` and ``vmac`` in km/s, of all stars.

        Returns:
            A row a star: ``wavelength`` (vacuum Å), ``flux``, ``gap`` and ``gap_error`` (units of the continuum), shape
            (P,) each, NaN where the grid does not reach, over HTTP null; ``flags`` (bits), ``outside`` (names of labels
            outside the grid), ``labels`` (name → value used).

        Raises:
            MlflowException: ``INVALID_PARAMETER_VALUE`` for labels, values or a survey that the bridge cannot take.
        """
        try:
            return self._morphed(model_input, dict(params or {}))
        except Synth2ObsError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from None

    def _morphed(self, model_input: Any, params: dict[str, Any]) -> pd.DataFrame:
        from synth2obs.api import morph

        labels = self._labels(_frame(model_input))
        speeds: dict[str, Any] = {name: float(params.get(name, 0.0)) for name in ("rv", "vsini", "vmac")}
        survey = str(params.get("survey", self.bridge.surveys[0]))
        found = morph(self.bridge, survey=survey, labels=labels, **speeds)
        spectra = {name: _rows(getattr(found, name)) for name in ("flux", "gap", "gap_error")}
        return pd.DataFrame(
            {
                "wavelength": [found.wavelength] * len(found.flux),
                **spectra,
                "flags": found.flags,
                "outside": [list(names) for names in found.outside],
                "labels": [
                    {name: float(values[row]) for name, values in found.labels.items()}
                    for row in range(len(found.flux))
                ],
            }
        )

    def _labels(self, frame: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
        """Labels that were given, of every star.

        Raises:
            DataError: For an unknown or repeated column, or what is no finite number.
        """
        from synth2obs.analysis.given_labels import labels_of_table

        space = self.bridge.labels
        repeated = sorted({str(name) for name in frame.columns[frame.columns.duplicated()]})
        if repeated or not len(frame):
            wrong = f"columns are repeated: {', '.join(repeated)}" if repeated else "there are no rows"
            raise DataError(wrong, field="labels", remedy="give a row per star and a column per label")
        if not len(frame.columns):
            return {space.names[0]: np.full(len(frame), space.default[0])}
        return labels_of_table(frame, space.names)


def _frame(given: Any) -> pd.DataFrame:
    """A DataFrame of what MLflow hands on: a DataFrame, a list of records, or a dict of columns.

    Raises:
        DataError: If it is neither.
    """
    if isinstance(given, pd.DataFrame):
        return given
    records = isinstance(given, list) and all(isinstance(row, dict) for row in given)
    if not records and not isinstance(given, dict):
        raise DataError(
            f"must be a DataFrame, records or columns by name, got {type(given).__name__}",
            field="labels",
            remedy='send {"dataframe_records": [{"teff": 5777, "logg": 4.44}]}',
        )
    return pd.DataFrame(given if records else {name: np.atleast_1d(values) for name, values in given.items()})


def _rows(table: NDArray[np.float32]) -> list[Any]:
    """Spectra one by one; with None for NaN where the answer becomes JSON."""
    if os.environ.get(SERVING) != "true":
        return list(table)
    return [[value if np.isfinite(value) else None for value in row.tolist()] for row in table]


set_model(BridgeModel())
