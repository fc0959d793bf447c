"""The bundle behind an address in an MLflow store."""

import os
import re
import warnings
from pathlib import Path
from typing import Any

from synth2obs.core.errors import ModelError
from synth2obs.training.tracking.moved import follow
from synth2obs.training.tracking.store import client_of, store_address


def fetch_bundle(uri: str, store: str | Path | None = None) -> Path:
    """Folder of the bundle behind ``models:/name@alias``, ``models:/name/version`` or ``runs:/…``.

    Args:
        uri: Address in an MLflow store.
        store: Folder of ``mlflow.db``; by default the environment's ``MLFLOW_TRACKING_URI``.

    Raises:
        ModelError: If there is no store, or nothing at the address.
    """
    address = _store_of(uri, store)
    try:
        found = _downloaded(uri, address)
    except Exception as error:
        raise ModelError(f"{uri}: not found in {address}: {error}") from error
    weights = sorted(found.rglob("bridge.safetensors"))
    if not weights:
        raise ModelError(f"{uri}: no bridge among its files; it was not registered by synth2obs")
    return weights[0].parent


def _store_of(uri: str, store: str | Path | None) -> str:
    address = store_address(store) if store else os.environ.get("MLFLOW_TRACKING_URI")
    if not address:
        raise ModelError(
            f"{uri}: no store; give store=DIR (the folder of mlflow.db) or set MLFLOW_TRACKING_URI"
        )
    if store and not (Path(store) / "mlflow.db").is_file():
        raise ModelError(f"{uri}: no mlflow.db in {store}; give the folder that holds it, e.g. OUT/mlflow")
    if store:
        follow(store)
    return address


def _downloaded(uri: str, address: str) -> Path:
    client = client_of(address)
    from mlflow.artifacts import download_artifacts

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Path(download_artifacts(artifact_uri=_location(client, uri), tracking_uri=address))


def _location(client: Any, uri: str) -> str:
    """Where the files of ``models:/name@alias`` or ``models:/name/version`` are; any other address as it is.

    MLflow itself would look the name up in its default registry, whatever store it is told to use.
    """
    found = re.fullmatch(r"models:/([^/@]+)(?:@([^/]+)|/(\d+))", uri)
    if found is None:
        return uri
    name, alias, number = found.groups()
    version = number or client.get_model_version_by_alias(name, alias).version
    return str(client.get_model_version_download_uri(name, version))
