"""SIGINT and SIGTERM at aimed moments of a training: exit code, status of the run, and no process left."""

import json
import os
import signal
import subprocess
import sys

import pytest

from synth2obs.training.tracking.store import open_store

SCRIPT = """
import importlib, os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
where, number, *arguments = sys.argv[1:]
module, _, name = where.rpartition(":")
owner = importlib.import_module(module)
*path, last = name.split(".")
for part in path:
    owner = getattr(owner, part)
whole = getattr(owner, last)

def then_whole(*given, **named):
    os.kill(os.getpid(), int(number))
    return whole(*given, **named)

then = staticmethod(then_whole) if isinstance(owner.__dict__.get(last), staticmethod) else then_whole
setattr(owner, last, then)
from synth2obs.cli import app
app(arguments)
"""
"""The command line, to which a signal comes whenever a function is called: MODULE:NAME NUMBER ARGUMENT..."""

BEFORE = {
    "settings": "synth2obs.training.run:load_config",
    "data": "synth2obs.training.run:load_domains",
    "the first state": "synth2obs.training.run:first_state",
}
"""Before there is a run."""

MOMENTS = {
    "the store": "synth2obs.training.tracking.tracker:open_store",
    "the run's description": "synth2obs.training.tracking.tracker:describe_run",
    "a step": "synth2obs.training.stages.theory:TheoryStage.step",
    "the end of a stage": "synth2obs.training.stages.gap:GapStage.finish",
    "a checkpoint": "synth2obs.training.loop:save_tensors",
    "metrics": "synth2obs.training.tracking.tracker:Tracker.flush",
    "the last stage": "synth2obs.training.stages.critic:CriticStage.finish",
    "the bundle": "synth2obs.training.run:save_bundle",
    "the card": "synth2obs.training.run:run_card",
    "evaluation": "synth2obs.measured:evaluate",
    "placebo": "synth2obs.measured:placebo",
    "numbers": "synth2obs.workflow:_write",
    "reports": "synth2obs.concluded:rebuild",
    "figures": "synth2obs.concluded:figures",
    "registration": "synth2obs.training.tracking.tracker:register_bridge",
}
QUICK = ("a step", "the bundle", "registration")
"""Those that are looked at in every call of the tests."""


def interrupted(where, number, folder, environment, small):
    command = [sys.executable, "-c", SCRIPT, where, str(int(number)), "quickstart", "-o", str(folder), *small]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, start_new_session=True
    )


def statuses(folder):
    """Of a training's whole run and of its stages' runs."""
    record = json.loads((folder / "run.json").read_text())
    client = open_store(folder / "mlflow")
    return [client.get_run(run).info.status for run in (record["run"], *record.get("stages", {}).values())]


def marked(name, number):
    """Half of the moments have SIGTERM; most are slow."""
    return pytest.param(name, number, marks=[] if name in QUICK else pytest.mark.slow, id=f"{name}")


CASES = [
    marked(name, signal.SIGTERM if at % 3 == 1 else signal.SIGINT)
    for at, name in enumerate([*BEFORE, *MOMENTS])
]


@pytest.mark.parametrize("name, number", CASES)
def test_a_signal_ends_it_with_its_code_and_nothing_stays_open(name, number, new_folder, environment, small):
    folder = new_folder("signal")
    done = interrupted({**BEFORE, **MOMENTS}[name], number, folder, environment, small)
    assert done.returncode == 128 + number, done.stderr[-2000:]
    assert "interrupted" in done.stderr and "Traceback" not in done.stderr
    if name not in BEFORE:
        whole, *stages = statuses(folder)
        assert whole == "KILLED" and set(stages) <= {"KILLED", "FINISHED"}
    assert not list(folder.rglob("*.partial*"))


def test_a_signal_while_stages_are_loaded_is_not_lost(copy_of, environment, small):
    (copy_of / "metrics.json").unlink()
    load = "synth2obs.training.loop:load_tensors"
    done = interrupted(load, signal.SIGINT, copy_of, environment, small)
    assert done.returncode == 130 and statuses(copy_of)[0] == "KILLED", done.stderr[-2000:]


LOST = """
import gc, os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from synth2obs.cli import interruptions
interruptions.PATIENCE = 0.2
from synth2obs.cli.common import errors_for_people

class Odd:
    def __del__(self):
        os.kill(os.getpid(), signal.{0})

def swallows():
    try:
        os.kill(os.getpid(), signal.{0})
    except:
        pass

def command():
    with errors_for_people():
        {1}
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            time.sleep(0.05)
        print("went on")

import typer
typer.run(command)
"""


@pytest.mark.parametrize("lost", ["Odd()", "swallows()"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_a_library_swallows_comes_again(number, lost, environment):
    command = [sys.executable, "-c", LOST.format(number.name, lost)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 128 + number and "went on" not in done.stdout


SLOW_END = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from synth2obs.cli import interruptions
interruptions.PATIENCE = 0.1
from synth2obs.cli.common import errors_for_people

def command():
    with errors_for_people():
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        finally:
            time.sleep(1)
            print("cleaned up")

import typer
typer.run(command)
"""


def test_what_cleans_up_is_not_interrupted_again(environment):
    command = [sys.executable, "-c", SLOW_END]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 130 and "cleaned up" in done.stdout


def test_what_ignores_a_signal_goes_on_ignoring_it():
    from synth2obs.cli.interruptions import heard

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with heard():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_signal_while_a_run_is_closed_waits_for_its_end():
    from synth2obs.training.signals import signals_wait

    done = []
    with pytest.raises(KeyboardInterrupt), signals_wait():
        os.kill(os.getpid(), signal.SIGINT)
        done.append("closed")
    assert done == ["closed"]
