"""Lines about long work."""

import logging
import threading
import time

import pytest

from synth2obs.core import told as module
from synth2obs.core.told import LOG, Work, clock, told


@pytest.fixture
def said(caplog):
    """What was logged so far."""
    with caplog.at_level(logging.INFO, logger=LOG.name):
        yield lambda: caplog.messages


@pytest.fixture
def fast(monkeypatch):
    """A line every tenth of a second."""
    monkeypatch.setattr(module, "EVERY", 0.1)
    monkeypatch.setattr(module, "BEAT", 0.02)


def test_it_begins_counts_and_ends(said, fast):
    with told("theory", "steps", total=10) as move:
        for step in range(1, 4):
            time.sleep(0.12)
            move(step, 10, "loss 0.5")
    first, *between, last = said()
    assert first == "theory: 10 steps" and last == "theory: done in 0:00:00"
    assert any(line.startswith("theory: 2 of 10 steps, loss 0.5, 0:00:0") for line in between)
    assert all(line.endswith("left") for line in between if " of " in line and "2 of" in line)


def test_a_step_that_takes_long_does_not_silence_it(said, fast):
    with told("evaluation"):
        time.sleep(0.35)
    assert sum(line.endswith("so far") for line in said()) >= 2


def test_nothing_more_often_than_it_should(said):
    with told("theory", "steps", total=1000) as move:
        for step in range(1000):
            move(step, 1000)
    assert said() == ["theory: 1000 steps", "theory: done in 0:00:00"]


def test_what_was_there_is_said_and_takes_no_time(said):
    work = Work("computing", "spectra", total=100)
    work.move(90, 100)
    assert said() == ["computing: 100 spectra", "computing: 90 of 100 spectra were there"]
    assert work.line() == "computing: 90 of 100 spectra"
    work.move(95, 100)
    assert work.line() == "computing: 95 of 100 spectra, 0:00:00 left"


def test_what_is_refused_before_it_moves_says_nothing(said):
    with told("reading", "files", total=3, beat=False):
        pass
    assert not said()


def test_a_resumed_stage_says_where(said):
    with told("theory", "steps", 40, 100):
        pass
    assert said()[0] == "theory: goes on after 40 of 100 steps"


def test_an_error_ends_no_work(said):
    with pytest.raises(ValueError), told("theory", "steps", total=3):
        raise ValueError
    assert said() == ["theory: 3 steps"] and threading.active_count() == 1


def test_nobody_listens(monkeypatch):
    monkeypatch.setattr(module.threading, "Thread", None)
    with told("theory", "steps", total=3) as move:
        move(1, 3)


def test_the_library_is_silent_by_itself():
    import synth2obs

    assert any(isinstance(one, logging.NullHandler) for one in logging.getLogger(synth2obs.__name__).handlers)


def test_clock():
    assert clock(3725.4) == "1:02:05"
