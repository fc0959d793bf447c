"""What a training's run is described by: settings, inputs, versions and commit."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synth2obs.core.config_io import Setting
from synth2obs.core.files import file_sha256
from synth2obs.training.provenance import git_state, package_versions

DESCRIBED = "synth2obs.described"
"""Tag of a run that has its description."""

BATCH = 100
"""Parameters per request, the most that MLflow takes."""

LONGEST = 6000
"""Characters of a parameter, the most that MLflow takes."""


def describe_run(
    client: Any,
    run: str,
    settings: Mapping[str, Setting],
    config_text: str,
    datasets: Mapping[str, str | Path],
) -> None:
    """Describe a run, unless that is done already; the tag that says so comes last.

    Args:
        client: MLflow client of the store.
        run: Id of the run.
        settings: Flattened configuration, kept as parameters.
        config_text: Resolved configuration, kept as ``config/resolved.toml`` unless it is empty.
        datasets: Name and file of each input.

    Raises:
        DataError: If a dataset cannot be read.
    """
    from mlflow.entities import RunTag

    if DESCRIBED in client.get_run(run).data.tags:
        return
    _log_settings(client, run, settings)
    versions = {f"version.{package}": text for package, text in package_versions().items()}
    tags = {**git_state(__file__), **versions, DESCRIBED: "yes"}
    if config_text:
        client.log_text(run, config_text, "config/resolved.toml")
    if datasets:
        client.log_inputs(run, [_dataset(name, Path(path)) for name, path in datasets.items()])
    client.log_batch(run, tags=[RunTag(key, value) for key, value in tags.items()])


def _log_settings(client: Any, run: str, settings: Mapping[str, Setting]) -> None:
    from mlflow.entities import Param

    params = [Param(re.sub(r"[^\w./ :-]", "_", key), str(value)[:LONGEST]) for key, value in settings.items()]
    for start in range(0, len(params), BATCH):
        client.log_batch(run, params=params[start : start + BATCH])


def _dataset(name: str, path: Path) -> Any:
    """A dataset by name and digest; MLflow's own digest field holds 36 characters of the 64."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    sha256 = file_sha256(path)
    profile = json.dumps({"sha256": sha256, "bytes": path.stat().st_size})
    source = json.dumps({"uri": str(path.resolve())})
    dataset = Dataset(name, sha256[:36], "local", source, profile=profile)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])
