"""A saved bridge in MLflow's model registry: code and bundle folder, no pickle."""

import json
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from synth2obs.core.errors import ModelError
from synth2obs.core.labels import unit_of
from synth2obs.training.provenance import folder_sha256
from synth2obs.training.tracking.moved import place_of

MODEL_CODE = "served.py"
"""Of the package: the model's code, which MLflow copies."""

BUNDLE = "bundle"
"""Name of the artifact that holds the bundle folder."""

CHAMPION = "champion"
"""Alias of the version that users load."""

DIGEST = "bundle.sha256"
"""Tag of a model version by which the same bundle is recognised."""


@dataclass(frozen=True, kw_only=True)
class Registration:
    """A bundle that is to be registered.

    Args:
        experiment, run: Ids of the experiment and of the run that made it.
        folder: What ``Bridge.save`` wrote.
        example: A value for every label, in the bridge's order and units.
        name: Name of the registered model, without ``/`` and ``:``.
        survey: The survey that is predicted when a user names none.
        champion: Whether the alias ``champion`` is to point to it.
        tags: Of the version, e.g. the run's verdict.
    """

    experiment: str
    run: str
    folder: Path
    example: Mapping[str, float]
    name: str
    survey: str
    champion: bool = True
    tags: Mapping[str, str] = field(default_factory=dict)


def register_bridge(client: Any, wanted: Registration) -> str:
    """Register a bundle folder as ``models:/<name>/<version>``, with the alias ``champion`` if that is wanted.

    The same bundle from the same run is registered once.

    Raises:
        ModelError: If the folder does not exist, or the name is not allowed.
    """
    folder, name = wanted.folder, wanted.name
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such bundle folder; save the bridge first")
    if not re.fullmatch(r"[^/:'\"]+", name):
        raise ModelError(f"model name {name!r} must not be empty or hold / : or quotes; choose another")
    digest = folder_sha256(folder)
    number = _known_version(client, wanted, digest)
    if number is None:
        number = _new_version(client, wanted, _log_model(client, wanted), digest)
    for key, value in wanted.tags.items():
        client.set_model_version_tag(name, number, key, value)
    if wanted.champion:
        client.set_registered_model_alias(name, CHAMPION, number)
    return f"models:/{name}/{number}"


def _known_version(client: Any, wanted: Registration, digest: str) -> str | None:
    found = client.search_model_versions(f"name = '{wanted.name}'")
    mine = (each for each in found if each.run_id == wanted.run and each.tags.get(DIGEST) == digest)
    return next((str(each.version) for each in mine), None)


def _log_model(client: Any, wanted: Registration) -> Any:
    model = client.create_logged_model(
        wanted.experiment, name=wanted.name, source_run_id=wanted.run, model_type="bridge"
    )
    with tempfile.TemporaryDirectory() as scratch:
        saved = Path(scratch) / "model"
        with _calm_mlflow():
            _save_pyfunc(saved, wanted, model.model_id)
        client.log_model_artifacts(model.model_id, str(saved))
    return client.finalize_logged_model(model.model_id, "READY")


def _new_version(client: Any, wanted: Registration, model: Any, digest: str) -> str:
    if not client.search_registered_models(f"name = '{wanted.name}'"):
        client.create_registered_model(wanted.name)
    made = client.create_model_version(
        wanted.name,
        source=model.artifact_location,
        run_id=wanted.run,
        tags={DIGEST: digest},
        model_id=model.model_id,
    )
    _link(client, model.model_id, wanted.name, str(made.version))
    return str(made.version)


def _link(client: Any, model: str, name: str, number: str) -> None:
    """Let a logged model's page show the version that it became."""
    versions = json.dumps([{"name": name, "version": number}])
    client.set_logged_model_tags(model, {"mlflow.modelVersions": versions})


@contextmanager
def _calm_mlflow() -> Iterator[None]:
    """MLflow warns of its own type hints while it loads, and of how it calls pandas."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*type hint is inferred as AnyType")
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def _save_pyfunc(target: Path, wanted: Registration, model: str) -> None:
    import pandas as pd
    from mlflow.models import Model
    from mlflow.pyfunc import save_model

    labels = pd.DataFrame([dict(wanted.example)], dtype="float64")
    save_model(
        target,
        python_model=str(resources.files("synth2obs") / MODEL_CODE),
        artifacts={BUNDLE: place_of(wanted.folder)},
        signature=_signature(wanted.survey),
        metadata={"labels": {name: unit_of(name) for name in wanted.example}},
        input_example=(labels, {"survey": wanted.survey, "rv": 0.0}),
        mlflow_model=Model(run_id=wanted.run, model_id=model),
        pip_requirements=_requirements(),
    )


def _signature(survey: str) -> Any:
    """What the model takes beside labels, and what it answers, a row a star; see the model's code for the inputs."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array, Map

    spectra: list[Any] = [
        ColSpec(Array(DataType.double), "wavelength"),
        *(ColSpec(Array(DataType.float), name) for name in ("flux", "gap", "gap_error")),
    ]
    told = [
        ColSpec(DataType.long, "flags"),
        ColSpec(Array(DataType.string), "outside"),
        ColSpec(Map(DataType.double), "labels"),
    ]
    speeds = [ParamSpec(name, "double", 0.0) for name in ("rv", "vsini", "vmac")]
    return ModelSignature(
        outputs=Schema(spectra + told), params=ParamSchema([ParamSpec("survey", "string", survey), *speeds])
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
