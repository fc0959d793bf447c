"""Computing in a forked child: the threads of its parent are not there, and OpenMP waits for them for ever."""

import os

import torch


def _one_thread() -> None:
    torch.set_num_threads(1)


def survive_forks() -> None:
    """Let every child that is forked from now on compute with one thread, as torch's own loaders do."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_one_thread)
