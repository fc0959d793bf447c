"""The saved bridge as an MLflow model: labels in, native spectra out.

MLflow keeps this file as the model's code ("models from code") and the bundle folder as its only
artifact, so nothing is pickled; whoever loads the model needs synth2obs installed.

MLflow drops columns that the signature does not name, with a warning, before the model sees them.
"""

from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from numpy.typing import NDArray

from synth2obs.core.errors import ModelError
from synth2obs.core.labels import unit_of
from synth2obs.training.tracking.registry import BUNDLE


def label_table(frame: pd.DataFrame, names: tuple[str, ...]) -> NDArray[np.float64]:
    """The labels of a table in the order of a bridge, shape (N, K).

    Args:
        frame: One column of numbers per label, in any order; units as in the bridge.
        names: Labels of the bridge.

    Raises:
        ModelError: For columns that are missing, unknown or double, and for values that are not
            finite numbers.
    """
    if not isinstance(frame, pd.DataFrame):
        raise ModelError(f"labels must be a pandas DataFrame, got {type(frame).__name__}; {_wanted(names)}")
    columns = list(frame.columns)
    problems = {
        "missing": [name for name in names if name not in columns],
        "unknown": [name for name in columns if name not in names],
        "repeated": sorted({str(name) for name in columns if columns.count(name) > 1}),
    }
    found = [f"{kind} columns {values}" for kind, values in problems.items() if values]
    if found:
        raise ModelError(f"labels have {' and '.join(found)}; {_wanted(names)}")
    return np.column_stack([_finite_column(frame, name) for name in names])


def _wanted(names: tuple[str, ...]) -> str:
    return f"give one column for each of {', '.join(names)}"


def _finite_column(frame: pd.DataFrame, name: str) -> NDArray[np.float64]:
    try:
        column = frame[name].to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ModelError(f"label {name!r} in {unit_of(name)} must be numbers: {error}") from None
    bad = np.flatnonzero(~np.isfinite(column))
    if bad.size:
        raise ModelError(
            f"label {name!r} in {unit_of(name)} must be finite, got {column[bad[0]]} in row {bad[0]}; "
            "drop the star or give a value"
        )
    return column


class BridgeModel(PythonModel):
    """Predicts what a survey sees of stars with given labels."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the bundle."""
        from synth2obs.models.bundle import load_bundle

        self.bridge = load_bundle(context.artifacts[BUNDLE])

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> NDArray[np.float32]:
        """Spectra on a survey's native pixels.

        Args:
            context: Not used.
            model_input: One column per label of the bridge, shape (N, K).
            params: ``survey``, one of the bridge's; ``rv``, radial velocity of all stars in km/s.

        Returns:
            Normalised flux, shape (N, P).

        Raises:
            ModelError: For columns or values that the bridge cannot take.
        """
        chosen = dict(params or {})
        table = label_table(model_input, tuple(self.bridge.labels.names))
        survey, rv = self._survey(chosen.get("survey")), self._velocity(chosen.get("rv", 0.0))
        return self.bridge.predict(table, survey, np.full(len(table), rv))

    def _survey(self, name: Any) -> str:
        if name not in self.bridge.surveys:
            raise ModelError(f"unknown survey {name!r}; the bridge has {', '.join(self.bridge.surveys)}")
        return str(name)

    def _velocity(self, value: Any) -> float:
        if np.ndim(value) != 0 or not np.isfinite(value):
            raise ModelError(f"rv in km/s must be one finite number for all stars, got {value!r}")
        return float(value)


set_model(BridgeModel())
