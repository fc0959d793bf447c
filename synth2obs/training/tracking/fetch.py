"""The bundle behind an address in an MLflow store."""

import os
import re
import warnings
from pathlib import Path
from typing import Any

from synth2obs.core.errors import ModelError
from synth2obs.core.told import LOG
from synth2obs.training.provenance import folder_sha256
from synth2obs.training.tracking.moved import follow
from synth2obs.training.tracking.registry import DIGEST
from synth2obs.training.tracking.store import client_of, store_address


def fetch_bundle(uri: str, store: str | Path | None = None) -> Path:
    """Folder of the bundle behind ``models:/name@alias``, ``models:/name/version`` or ``runs:/…``.

    Args:
        uri: Address in an MLflow store.
        store: Folder of ``mlflow.db``; by default the environment's ``MLFLOW_TRACKING_URI``.

    Raises:
        ModelError: If there is no store, nothing at the address, or other files than those that were registered.
    """
    address = _store_of(uri, store)
    try:
        client = client_of(address)
        version = _version(client, uri)
        found = _downloaded(client, uri, version, address)
    except Exception as error:
        raise ModelError(f"{uri}: not found in {address}: {error}") from error
    weights = sorted(found.rglob("bridge.safetensors"))
    if not weights:
        raise ModelError(f"{uri}: no bridge among its files; it was not registered by synth2obs")
    _refuse_others(weights[0].parent, uri, version)
    return weights[0].parent


def _refuse_others(folder: Path, uri: str, version: Any | None) -> None:
    """Refuse a bundle that is not the one that was registered, by the digest among its version's tags."""
    if version is None:
        return
    wanted = version.tags.get(DIGEST)
    if wanted is None:
        LOG.info("%s: was registered without a digest of its bundle, so it is taken as it is", uri)
        return
    found = folder_sha256(folder)
    if found != wanted:
        raise ModelError(
            f"{uri}: sha256 of its bundle is {found}, but {wanted} was registered; somebody changed {folder}: put the "
            "files back, or register the bridge again"
        )


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


def _downloaded(client: Any, uri: str, version: Any | None, address: str) -> Path:
    from mlflow.artifacts import download_artifacts

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Path(download_artifacts(artifact_uri=_location(client, uri, version), tracking_uri=address))


def _location(client: Any, uri: str, version: Any | None) -> str:
    """Where the files of a registered version are; any other address as it is.

    MLflow itself would look the name up in its default registry, whatever store it is told to use.
    """
    if version is None:
        return uri
    return str(client.get_model_version_download_uri(version.name, version.version))


def _version(client: Any, uri: str) -> Any | None:
    """What the registry says of ``models:/name@alias`` or ``models:/name/version``; None of any other address."""
    found = re.fullmatch(r"models:/([^/@]+)(?:@([^/]+)|/(\d+))", uri)
    if found is None:
        return None
    name, alias, number = found.groups()
    return (
        client.get_model_version(name, number) if number else client.get_model_version_by_alias(name, alias)
    )
