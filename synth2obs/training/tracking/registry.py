"""A saved bridge in MLflow's model registry: code and bundle folder, no pickle."""

import re
import tempfile
import warnings
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from synth2obs.core.errors import ModelError
from synth2obs.training.provenance import folder_sha256

BUNDLE = "bundle"
"""Name of the artifact that holds the bundle folder."""

DIGEST = "bundle.sha256"
"""Tag of a model version by which the same bundle is recognised."""


def register_bridge(
    client: Any,
    experiment: str,
    run: str,
    folder: Path,
    example: Mapping[str, float],
    name: str,
    survey: str,
    pixels: int,
) -> str:
    """Register a bundle folder as ``models:/<name>/<version>``, alias ``champion``.

    See `synth2obs.training.tracking.tracking.Tracker.log_bridge` for the arguments.

    Raises:
        ModelError: If the folder does not exist, or the name is not allowed.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such bundle folder; save the bridge first")
    if not re.fullmatch(r"[^/:'\"]+", name):
        raise ModelError(f"model name {name!r} must not be empty or hold / : or quotes; choose another")
    digest = folder_sha256(folder)
    number = _known_version(client, name, run, digest)
    if number is None:
        model = _log_model(client, experiment, run, folder, example, name, survey, pixels)
        number = _new_version(client, name, run, model, digest)
    client.set_registered_model_alias(name, "champion", number)
    return f"models:/{name}/{number}"


def _known_version(client: Any, name: str, run: str, digest: str) -> str | None:
    found = client.search_model_versions(f"name = '{name}'")
    mine = [str(each.version) for each in found if each.run_id == run and each.tags.get(DIGEST) == digest]
    return mine[0] if mine else None


def _log_model(
    client: Any,
    experiment: str,
    run: str,
    folder: Path,
    example: Mapping[str, float],
    name: str,
    survey: str,
    pixels: int,
) -> Any:
    model = client.create_logged_model(experiment, name=name, source_run_id=run, model_type="bridge")
    with tempfile.TemporaryDirectory() as scratch:
        saved = Path(scratch) / "model"
        _save_pyfunc(saved, folder, example, survey, pixels, run, model.model_id)
        client.log_model_artifacts(model.model_id, str(saved))
    return client.finalize_logged_model(model.model_id, "READY")


def _new_version(client: Any, name: str, run: str, model: Any, digest: str) -> str:
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    source, tags = model.artifact_location, {DIGEST: digest}
    made = client.create_model_version(name, source=source, run_id=run, tags=tags, model_id=model.model_id)
    return str(made.version)


def _save_pyfunc(
    target: Path, folder: Path, example: Mapping[str, float], survey: str, pixels: int, run: str, model: str
) -> None:
    import pandas as pd

    with warnings.catch_warnings():
        # MLflow warns of its own type hints while it loads, and of how it calls pandas.
        warnings.filterwarnings("ignore", message=".*type hint is inferred as AnyType")
        warnings.simplefilter("ignore", DeprecationWarning)
        from mlflow.models import Model
        from mlflow.pyfunc import save_model

        save_model(
            target,
            python_model=str(Path(__file__).with_name("pyfunc_model.py")),
            artifacts={BUNDLE: str(folder.resolve())},
            signature=_signature(tuple(example), survey, pixels),
            input_example=(pd.DataFrame([dict(example)], dtype="float64"), {"survey": survey, "rv": 0.0}),
            mlflow_model=Model(run_id=run, model_id=model),
            pip_requirements=_requirements(),
        )


def _signature(labels: tuple[str, ...], survey: str, pixels: int) -> Any:
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

    return ModelSignature(
        inputs=Schema([ColSpec("double", label) for label in labels]),
        outputs=Schema([TensorSpec(np.dtype("float32"), (-1, pixels))]),
        params=ParamSchema([ParamSpec("survey", "string", survey), ParamSpec("rv", "double", 0.0)]),
    )


def _requirements() -> list[str]:
    """This package at this version, and what the model file itself imports."""
    found = []
    for package in ("synth2obs", "mlflow", "numpy", "pandas", "torch"):
        try:
            found.append(f"{package}=={version(package).partition('+')[0]}")
        except PackageNotFoundError:
            continue
    return found
