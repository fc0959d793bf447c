"""The registered model as MLflow serves it: what it takes, what it answers, and what it says of a wrong request."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pandas as pd
import pytest

import synth2obs

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*type hint is inferred as AnyType:UserWarning"),
]
SPECTRA = ("flux", "gap", "gap_error")
WRONG = {
    "label": ({"tef": [5777.0]}, {}, "unknown label 'tef'; the grid has teff, logg, fe_h"),
    "survey": (
        {"teff": [5777.0]},
        {"survey": "apogee"},
        "unknown survey 'apogee'; this model knows miles, stelib",
    ),
    "missing value": ({"teff": [5777.0, None]}, {}, "'teff' in K must be finite"),
    "text": ({"teff": ["hot"]}, {}, "'teff' in K must be numbers"),
    "rv": ({"teff": [5777.0]}, {"rv": float("inf")}, "rv in km/s must be finite"),
    "vsini": ({"teff": [5777.0]}, {"vsini": -3.0}, "vsini in km/s must be at least 0"),
    "no rows": ({"teff": []}, {}, "there are no rows"),
}


@pytest.fixture(scope="module")
def address(trained):
    """Folder of the registered model."""
    from synth2obs.training.tracking.store import open_store

    client = open_store(trained.store)
    version = client.get_model_version("optical", "1").version
    return client.get_model_version_download_uri("optical", version).removeprefix("file://")


@pytest.fixture(scope="module")
def model(address):
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(address)


@pytest.fixture(scope="module")
def bridge(trained):
    return synth2obs.load_bridge(trained.folder / "bridge")


def test_labels_are_optional_and_the_answer_says_which_were_used(model, bridge):
    found = model.predict(pd.DataFrame({"teff": [5000, 40000]}))
    expected = synth2obs.morph(bridge, survey="miles", labels={"teff": [5000, 40000]})
    for name in SPECTRA:
        np.testing.assert_array_equal(np.stack(found[name]), getattr(expected, name))
    np.testing.assert_array_equal(found["wavelength"][1], expected.wavelength)
    assert list(found["flags"]) == list(expected.flags) and list(found["outside"]) == [[], ["teff"]]
    assert found["labels"][0] == {name: values[0] for name, values in expected.labels.items()}


@pytest.mark.parametrize(
    "given",
    [[{"teff": 5000.0, "logg": 4.0}], {"teff": [5000.0], "logg": [4.0]}, {"teff": 5000.0, "logg": 4.0}],
)
def test_records_and_columns_are_labels(model, given):
    frame = pd.DataFrame({"logg": [4.0], "teff": [5000.0]})
    np.testing.assert_array_equal(model.predict(given)["flux"][0], model.predict(frame)["flux"][0])


def test_a_row_of_nothing_is_the_default_star(model, bridge):
    found = model.predict(pd.DataFrame([{}, {}]))
    expected = synth2obs.morph(bridge, survey="miles", labels={}).flux
    np.testing.assert_allclose(np.stack(found["flux"]), np.repeat(expected, 2, axis=0), atol=1e-6)


def test_survey_velocity_and_rotation_are_parameters(model, bridge):
    speeds = {"rv": -33.0, "vsini": 40.0, "vmac": 3.0}
    found = model.predict(pd.DataFrame({"teff": [5000.0]}), params={"survey": "stelib", **speeds})
    expected = synth2obs.morph(bridge, survey="stelib", labels={"teff": 5000.0}, **speeds)
    np.testing.assert_array_equal(found["flux"][0], expected.flux[0])


@pytest.mark.parametrize("columns, params, words", WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_the_clients_error(columns, params, words, model):
    from mlflow.exceptions import MlflowException

    with pytest.raises(MlflowException) as raised:
        model.predict(pd.DataFrame(columns), params=params)
    assert words in raised.value.message and raised.value.get_http_status_code() == 400
    assert "Traceback" not in raised.value.serialize_as_json()


def test_what_is_no_table_of_labels(model):
    from mlflow.exceptions import MlflowException

    for given, words in (
        (np.ones((1, 3)), "got ndarray"),
        (pd.DataFrame([[1, 2]], columns=["teff"] * 2), "repeated"),
    ):
        with pytest.raises(MlflowException, match=words) as raised:
            model.predict(given)
        assert raised.value.get_http_status_code() == 400


class TestServer:
    """MLflow's own server, called as its web framework calls it."""

    @pytest.fixture
    def post(self, model, monkeypatch):
        scoring = pytest.importorskip("mlflow.pyfunc.scoring_server")
        pytest.importorskip("fastapi")
        monkeypatch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")
        app = scoring.init(model)
        return lambda body: asyncio.run(called(app, json.dumps(body).encode()))

    def test_the_answer_is_strict_json(self, post, bridge):
        status, text = post({"dataframe_records": [{"teff": 5000}], "params": {"survey": "stelib"}})
        (row,) = json.loads(text, parse_constant=pytest.fail)["predictions"]
        expected = synth2obs.morph(bridge, survey="stelib", labels={"teff": 5000})
        for name in SPECTRA:
            np.testing.assert_allclose(np.array(row[name], float), getattr(expected, name)[0], atol=1e-6)
        assert status == 200 and row["labels"]["teff"] == 5000 and row["flags"] == 0

    @pytest.mark.parametrize("name", ["label", "survey"])
    def test_a_typo_is_400_with_the_known_names(self, name, post):
        columns, params, words = WRONG[name]
        records = pd.DataFrame(columns).to_dict(orient="records")
        status, text = post({"dataframe_records": records, "params": params})
        assert status == 400 and words in json.loads(text)["message"] and "Traceback" not in text


async def called(app, body):
    """Status and text of a POST to /invocations, by the ASGI protocol."""
    headers = [(b"content-type", b"application/json")]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/invocations",
        "raw_path": b"/invocations",
        "query_string": b"",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "headers": headers,
    }
    sent, done = [], asyncio.Event()
    requests = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def receive():
        for message in requests:
            return message
        await done.wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    done.set()
    return sent[0]["status"], b"".join(part.get("body", b"") for part in sent[1:]).decode()


@pytest.mark.slow
def test_mlflow_models_serve(address, environment):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", address, "--env-manager", "local"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    folder = os.path.dirname(sys.executable)
    environment = {**environment, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    server = subprocess.Popen(
        [*command, "-p", str(port), "-w", "1"], env=environment, start_new_session=True, **quiet
    )
    try:
        url = f"http://127.0.0.1:{port}/invocations"
        status, text = posted(url, {"dataframe_records": [{"teff": 5000}]}, server)
        assert status == 200 and json.loads(text)["predictions"][0]["labels"]["teff"] == 5000
        status, text = posted(url, {"dataframe_records": [{"tef": 5000}]}, server)
        assert status == 400 and "unknown label 'tef'" in text and "Traceback" not in text
    finally:
        os.killpg(server.pid, 15)
        server.wait(timeout=30)


def posted(url, body, server):
    """Status and text, after waiting for the server to listen."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    for _ in range(300):
        assert server.poll() is None
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            time.sleep(0.3)
    raise AssertionError("the server does not listen")
