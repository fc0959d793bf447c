"""A registered model is the bundle that was registered, or it is not loaded."""

import logging

import pytest

from synth2obs.core.errors import ModelError
from synth2obs.training.tracking.fetch import fetch_bundle
from synth2obs.training.tracking.registry import DIGEST
from synth2obs.training.tracking.tracker import Tracker


@pytest.fixture
def registered(new_folder):
    """A training's folder with a registered bundle of two files, and its open store."""
    out = new_folder("registered")
    (out / "bridge").mkdir()
    for name in ("bridge.safetensors", "README.md"):
        (out / "bridge" / name).write_bytes(b"as it was")
    tracker = Tracker.open(out, grid="marcs", surveys=("miles",))
    tracker.log_bridge(out / "bridge", {"teff": 5777.0}, name="optical", survey="miles")
    tracker.close()
    return out, tracker.client


@pytest.mark.parametrize("address", ["models:/optical/1", "models:/optical@champion"])
def test_a_bundle_that_somebody_changed_is_refused(address, registered):
    out, _ = registered
    folder = fetch_bundle(address, out / "mlflow")
    (folder / "bridge.safetensors").write_bytes(b"something else")
    with pytest.raises(ModelError, match=f"{address}: sha256 of its bundle is .* but .* was registered"):
        fetch_bundle(address, out / "mlflow")


def test_a_file_that_somebody_added_is_noticed_too(registered):
    out, _ = registered
    (fetch_bundle("models:/optical/1", out / "mlflow") / "code.py").write_text("print()")
    with pytest.raises(ModelError, match="register the bridge again"):
        fetch_bundle("models:/optical/1", out / "mlflow")


def test_a_version_without_a_digest_is_taken_and_said(registered, caplog):
    out, client = registered
    client.delete_model_version_tag("optical", "1", DIGEST)
    with caplog.at_level(logging.INFO, "synth2obs"):
        folder = fetch_bundle("models:/optical/1", out / "mlflow")
    assert (folder / "bridge.safetensors").read_bytes() == b"as it was"
    assert "registered without a digest" in caplog.text
