"""Waiting: for the first that is ready, and never deaf to a signal."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from synth2obs.core.futures import finished


def test_the_first_that_is_ready_comes_back_alone():
    go = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        slow, quick = pool.submit(go.wait, 60.0), pool.submit(int)
        assert finished({slow, quick}) == {quick}
        go.set()
        assert finished([slow]) == {slow}


@pytest.fixture
def interrupts():
    """As in a terminal: a shell starts what runs in the background with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_signal_that_wakes_no_lock_is_heeded(interrupts):
    """The system may tell a thread other than the one that waits."""
    go = threading.Event()

    def told():
        time.sleep(0.5)
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        go.wait(60.0)

    with ThreadPoolExecutor(1) as pool:
        start = time.monotonic()
        try:
            with pytest.raises(KeyboardInterrupt):
                finished([pool.submit(told)])
            assert time.monotonic() - start < 20.0
        finally:
            go.set()
