"""Spectra of shards in random order, in memory that does not grow with them."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.spectra import Spectra
from synth2obs.io.shard.layout import CHUNK_ROWS
from synth2obs.io.shard.rows import join, open_valid, read_rows


def stream(
    paths: str | Path | Sequence[str | Path],
    *,
    seed: int,
    epoch: int,
    batch: int = 64,
    shuffle: bool = True,
) -> Iterator[Spectra]:
    """Batches of one epoch, read block by block so that memory does not grow with the shards.

    Blocks of 64 rows come in random order, and rows in random order within a block; every spectrum comes
    exactly once. A batch holds spectra of one shard; only the last batch of each shard may be shorter.

    Args:
        paths: One shard or several.
        seed: The order is a function of seed and epoch.
        epoch: Number of the pass through the data.
        batch: Spectra per batch.
        shuffle: False for the order of the files.

    Raises:
        DataError: If the checker would refuse what is read.
        ValueError: If ``batch`` is not positive.
    """
    if batch < 1:
        raise ValueError(f"batch must be >= 1 spectra, got {batch}")
    files = [paths] if isinstance(paths, (str, Path)) else list(paths)
    random = np.random.default_rng([seed, epoch])
    waiting: dict[int, Spectra] = {}
    with ExitStack() as stack:
        shards = [stack.enter_context(open_valid(path)) for path in files]
        for number, rows in _blocks([len(shard["flux"]) for shard in shards], random, shuffle):
            block = read_rows(shards[number], rows, files[number])
            table = join(waiting.pop(number), block) if number in waiting else block
            whole = len(table) - len(table) % batch
            for start in range(0, whole, batch):
                yield table.take(np.arange(start, start + batch))
            if whole < len(table):
                waiting[number] = table.take(np.arange(whole, len(table)))
    yield from (waiting[number] for number in sorted(waiting))


def _blocks(
    counts: Sequence[int], random: np.random.Generator, shuffle: bool
) -> Iterator[tuple[int, NDArray[np.integer[Any]]]]:
    """File number and rows of every block, in the order in which they are read."""
    blocks = [
        (number, np.arange(first, min(first + CHUNK_ROWS, count)))
        for number, count in enumerate(counts)
        for first in range(0, count, CHUNK_ROWS)
    ]
    order = random.permutation(len(blocks)) if shuffle else np.arange(len(blocks))
    for place in order:
        number, rows = blocks[place]
        yield number, random.permutation(rows) if shuffle else rows
