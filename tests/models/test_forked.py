"""A child that is forked after its parent has computed with several threads computes as well, and does not wait."""

import subprocess
import sys

import pytest

FORKS = """
import multiprocessing, sys, torch
import synth2obs.models
torch.set_num_threads(2)
def product(queue=None):
    found = float((torch.ones(800, 800) @ torch.ones(800, 800)).exp().clamp(max=1).sum())
    if queue is not None:
        queue.put((found, torch.get_num_threads()))
    return found
own = product()
context = multiprocessing.get_context("fork")
queue = context.Queue()
child = context.Process(target=product, args=(queue,))
child.start()
found, threads = queue.get(timeout=60)
child.join(60)
assert (found, threads, child.exitcode) == (own, 1, 0), (found, threads, child.exitcode)
"""


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="nothing forks here")
def test_a_forked_child_does_not_wait_for_threads_that_are_not_there():
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORKS], check=True, timeout=120)
