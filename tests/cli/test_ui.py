"""``synth2obs ui`` leaves nothing behind, however it ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from synth2obs.cli import ui as ui_command

SLEEPER = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); {}"


def group(leader):
    """Processes of a group that are there and no zombies."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                state, _, own = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(own) == leader and state != "Z":
                found.append(int(name))
    return found


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks at processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_and_its_children(number, tmp_path):
    told = tmp_path / "pid"
    wait = f"open({str(told)!r}, 'w').write(str(__import__('os').getpid())); time.sleep(60)"
    command = [sys.executable, "-c", SLEEPER.format(wait)]
    script = (
        "import os, signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from synth2obs.cli.common import errors_for_people\nfrom synth2obs.cli.ui import _serve\n"
        f"with errors_for_people():\n    raise SystemExit(_serve({command!r}, dict(os.environ)))"
    )
    ui = subprocess.Popen([sys.executable, "-c", script])
    try:
        deadline = time.monotonic() + 60
        while not (told.exists() and told.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        server = int(told.read_text())
        assert len(group(server)) == 2
        ui.send_signal(number)
        assert ui.wait(30) == 0
        assert group(server) == []
    finally:
        ui.kill()


def test_a_server_that_ends_by_itself_says_how(tmp_path):
    assert ui_command._serve([sys.executable, "-c", "raise SystemExit(3)"], dict(os.environ)) == 3


def test_a_port_that_is_taken_is_refused(tmp_path):
    import socket

    from synth2obs.core.errors import OutputError

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OutputError, match="choose another --port"):
            ui_command._port_free(taken.getsockname()[1])
