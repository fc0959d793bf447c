"""External programs: their ends, whichever they come to."""

import contextvars
import os
import sys
import threading
import time

import pytest

from synth2obs.synthesis import programs
from synth2obs.synthesis.engine import SynthesisError

LIMIT = 20.0


def python(code, folder, limit=LIMIT, text=""):
    return programs.run([sys.executable, "-c", code], text=text, folder=folder, limit=limit)


def gone(number):
    """Whether a process has ended; one that nobody has waited for yet counts."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return True
    with open(f"/proc/{number}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0] == "Z"


def wait_for(condition):
    end = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_what_it_is_told_and_what_it_says(tmp_path):
    said = python("import os; print(input().upper(), os.getcwd())", tmp_path, text="line\n")
    assert said.split() == ["LINE", str(tmp_path)]


def test_missing_program(tmp_path):
    with pytest.raises(SynthesisError, match="/nowhere/bsyn_lu: cannot be started"):
        programs.run(["/nowhere/bsyn_lu"], text="", folder=tmp_path, limit=LIMIT)


def test_failure_shows_its_last_words(tmp_path):
    with pytest.raises(SynthesisError, match=r"ended with code 3: (?s:x+)\sno such line$"):
        python("import sys; print('x' * 5000); print('no such line'); sys.exit(3)", tmp_path)


HANG = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open("pid", "w").write(str(child.pid))
time.sleep(600)
"""


def test_hanging_program_is_stopped_with_its_children(tmp_path):
    start = time.monotonic()
    with pytest.raises(SynthesisError, match="took longer than 2 s and was stopped"):
        python(HANG, tmp_path, limit=2.0)
    assert time.monotonic() - start < LIMIT
    wait_for(lambda: gone(int((tmp_path / "pid").read_text())))


def test_stop_ends_programs_of_other_threads_and_starts_none(tmp_path):
    trouble = []

    def work():
        try:
            python("open('started', 'w'); import time; time.sleep(600)", tmp_path, limit=600.0)
        except SynthesisError as error:
            trouble.append(str(error))

    thread = threading.Thread(target=work)
    with programs.stoppable():
        thread.start()
        wait_for((tmp_path / "started").exists)
        programs.stop()
        thread.join(LIMIT)
        assert not thread.is_alive() and "ended with code -9" in trouble[0]
        with pytest.raises(SynthesisError, match="was stopped"):
            python("print(1)", tmp_path)
    assert python("print(1)", tmp_path).strip() == "1"


def test_a_thread_that_comes_late_starts_nothing(tmp_path):
    with programs.stoppable():
        context = contextvars.copy_context()
        programs.stop()
    with pytest.raises(SynthesisError, match="was stopped"):
        context.run(python, "print(1)", tmp_path)
    assert python("print(1)", tmp_path).strip() == "1"
