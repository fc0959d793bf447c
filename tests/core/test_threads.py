"""How many threads work: as many as CPUs are free, by affinity and by quotas of both kinds; and how they wait."""

import os
import subprocess
import sys

import pytest

from synth2obs.core import threads
from synth2obs.core.threads import free_cpus, share_the_machine


@pytest.fixture(autouse=True)
def many(monkeypatch):
    """A process on 16 CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(16)), raising=False)


def limits(root, line, files):
    """The two places that Linux tells of limits in."""
    proc, groups = root / "cgroup", root / "groups"
    groups.mkdir()
    proc.write_text(line + "\n")
    for name, text in files.items():
        path = groups / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return proc, groups


CASES = {
    "no limit": ("0::/user", {"user/cpu.max": "max 100000"}, 16),
    "version 2": ("0::/user/job", {"user/job/cpu.max": "250000 100000"}, 3),
    "the group above": (
        "0::/user/job",
        {"user/job/cpu.max": "max 100000", "user/cpu.max": "200000 100000"},
        2,
    ),
    "a container's root": ("0::/host/path", {"cpu.max": "50000 100000"}, 1),
    "version 1": (
        "4:cpu,cpuacct:/job",
        {"cpu/job/cpu.cfs_quota_us": "400000", "cpu/job/cpu.cfs_period_us": "100000"},
        4,
    ),
    "version 1 without a limit": (
        "4:cpu,cpuacct:/job",
        {"cpu/job/cpu.cfs_quota_us": "-1", "cpu/job/cpu.cfs_period_us": "100000"},
        16,
    ),
    "another controller": ("4:memory:/job", {"cpu/job/cpu.cfs_quota_us": "100000"}, 16),
    "more than there are": ("0::/", {"cpu.max": "6400000 100000"}, 16),
    "rubbish": ("0::/", {"cpu.max": "many"}, 16),
}


@pytest.mark.parametrize("line, files, expected", CASES.values(), ids=CASES)
def test_cpus_that_are_free(line, files, expected, tmp_path):
    assert free_cpus(*limits(tmp_path, line, files)) == expected


def test_where_nothing_is_told_there_are_those_of_the_affinity(tmp_path):
    assert free_cpus(tmp_path / "none", tmp_path) == 16


@pytest.mark.parametrize("quota, expected", [(16, None), (3, "3")])
def test_threads_sleep_and_are_counted_where_a_quota_limits_them(quota, expected, monkeypatch):
    monkeypatch.setattr(threads, "free_cpus", lambda: quota)
    environ = {}
    share_the_machine(environ)
    assert environ["GOMP_SPINCOUNT"] == "1000" and environ["KMP_BLOCKTIME"] == "0"
    assert environ.get("OMP_NUM_THREADS") == expected


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "KMP_BLOCKTIME", "GOMP_SPINCOUNT"])
def test_who_has_chosen_how_to_wait_is_left_alone(name, monkeypatch):
    monkeypatch.setattr(threads, "free_cpus", lambda: 16)
    environ = {name: "mine"}
    share_the_machine(environ)
    assert environ == {name: "mine"}


def test_who_has_counted_threads_is_left_alone(monkeypatch):
    monkeypatch.setattr(threads, "free_cpus", lambda: 3)
    environ = {"MKL_NUM_THREADS": "5"}
    share_the_machine(environ)
    assert "OMP_NUM_THREADS" not in environ


SCRIPT = """
import logging, os, sys
logging.basicConfig(level="INFO")
import numpy, torch
from threadpoolctl import threadpool_info
from synth2obs.core import threads
threads.free_cpus = lambda: 1
print(threads.use_threads(7), torch.get_num_threads(), torch.get_num_interop_threads())
print({one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"})
"""


def test_one_setting_is_that_of_torch_and_blas():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["1 1 1", "{1}"], done.stderr
    assert "threads: 1 of 7, because no more CPUs are free" in done.stderr
