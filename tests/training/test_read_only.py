"""The pages of a store: they read, on this machine, and no other request changes anything or opens a folder."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from synth2obs.training.tracking.read_only import ReadOnly
from synth2obs.training.tracking.tracker import Tracker
from synth2obs.training.tracking.ui import ui_command

READS = [
    ("GET", "/"),
    ("GET", "/get-artifact"),
    ("GET", "/api/2.0/mlflow/runs/get"),
    ("POST", "/ajax-api/2.0/mlflow/runs/search"),
    ("POST", "/api/2.0/mlflow/experiments/search"),
    ("POST", "/ajax-api/2.0mlflow/experiments/search-datasets"),
    ("POST", "/ajax-api/2.0/mlflow/logged-models/search"),
    ("POST", "/graphql"),
]
CHANGES = [
    ("POST", "/ajax-api/2.0/mlflow/upload-artifact"),
    ("PUT", "/api/2.0/mlflow-artifacts/artifacts/x"),
    ("POST", "/api/2.0/mlflow/experiments/create"),
    ("POST", "/api/2.0/mlflow/runs/create"),
    ("POST", "/api/2.0/mlflow/runs/log-batch"),
    ("POST", "/api/2.0/mlflow/runs/delete"),
    ("POST", "/api/2.0/mlflow/model-versions/create"),
    ("PATCH", "/api/2.0/mlflow/registered-models/update"),
    ("DELETE", "/api/2.0/mlflow/registered-models/alias"),
    ("POST", "/ajax-api/3.0/jobs/"),
    ("POST", "/gateway/x/search"),
]


def answer(method, path):
    """Status of an answer; 200 is that of the server behind."""
    sent = []

    async def behind(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path}
    asyncio.run(ReadOnly(behind)(scope, None, send))
    return sent[0]["status"]


@pytest.mark.parametrize("method, path", READS)
def test_what_reads_is_answered(method, path):
    assert answer(method, path) == 200


@pytest.mark.parametrize("method, path", CHANGES)
def test_what_changes_is_refused(method, path):
    assert answer(method, path) == 403


@pytest.fixture
def served(new_folder, tmp_path):
    """Address of a server of a store with a run, that run's id, and the server's process."""
    out = new_folder("served")
    tracker = Tracker.open(out, grid="g", surveys=("s",))
    (out / "metrics.json").write_text("{}")
    tracker.artifact(out / "metrics.json")
    tracker.close()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command, environment = ui_command(out / "mlflow", port)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, env=environment, start_new_session=True, cwd=tmp_path, **quiet)
    try:
        deadline = time.monotonic() + 120
        while server.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.3)
        yield f"http://127.0.0.1:{port}", tracker.run, port
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def ask(address, body=None, **headers):
    """Status and content of an answer."""
    request = urllib.request.Request(address, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as found:
            return found.status, found.read()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read()


@pytest.mark.slow
def test_a_real_server_reads_and_takes_nothing(served, tmp_path):
    address, run, port = served
    api = f"{address}/ajax-api/2.0/mlflow"
    assert ask(f"{address}/")[0] == 200
    assert json.loads(ask(f"{api}/runs/get?run_id={run}")[1])["run"]["info"]["status"] == "FINISHED"
    assert ask(f"{address}/get-artifact?run_uuid={run}&path=reports/metrics.json") == (200, b"{}")
    search = {"experiment_ids": ["1"]}
    told = {"Content-Type": "application/json"}
    status, found = ask(f"{api}/runs/search", json.dumps(search).encode(), **told)
    assert status == 200 and run in found.decode()
    assert ask(f"{api}/upload-artifact?run_uuid={run}&path=x", b"x")[0] == 403
    made = json.dumps({"name": "x", "artifact_location": "/etc"}).encode()
    assert ask(f"{address}/api/2.0/mlflow/experiments/create", made, **told)[0] == 403
    assert ask(f"{address}/get-artifact?run_uuid={run}&path=../../../../run.json")[0] == 400
    assert ask(f"{api}/runs/get?run_id={run}", Host="elsewhere.example")[0] == 403
    with socket.socket() as other, pytest.raises(OSError):
        other.settimeout(3)
        # Another address of the same machine, which a server of all addresses would answer.
        other.connect(("127.0.0.2", port))
    assert list(tmp_path.iterdir()) == []
