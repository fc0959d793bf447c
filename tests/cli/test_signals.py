"""Ctrl-C and SIGTERM end every command alike: with a code of their own, a message, and nothing left open."""

import os
import signal
import subprocess
import sys

import pytest

SCRIPT = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from synth2obs.cli.common import errors_for_people
try:
    with errors_for_people():
        print("ready", flush=True)
        time.sleep(60)
except BaseException as ended:
    print("closed", type(ended).__name__)
    raise SystemExit(getattr(ended, "exit_code", 1))
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_each_has_its_own_code(number, code):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None and command.stdout.readline() == "ready\n"
    command.send_signal(number)
    out, err = command.communicate(timeout=30)
    assert command.returncode == code and "interrupted" in err and "closed Exit" in out


def test_the_handler_before_is_put_back():
    from synth2obs.cli.common import errors_for_people

    before = signal.getsignal(signal.SIGTERM)
    with errors_for_people():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before
