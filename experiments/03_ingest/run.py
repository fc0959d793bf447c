"""Files per second of an ingest: `python experiments/03_ingest/run.py apStar-*.fits`.

Copies of native apStar files, each under a name of its own, are turned into a shard by one process and by two. Starting
up costs the same for any number of files, so that two numbers of files tell it from the cost of one.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path

from astropy.io import fits

COMMAND = "from synth2obs.cli import app; app()"


def copies(files: list[Path], count: int, folder: Path) -> list[Path]:
    """So many copies with object names of their own."""
    found = []
    for number, file in enumerate(islice(cycle(files), count)):
        name = f"2M{number:08d}+0000000"
        with fits.open(file) as units:
            units[0].header["OBJID"] = name
            units.writeto(folder / f"apStar-r6-{name}.fits", output_verify="ignore")
        found.append(folder / f"apStar-r6-{name}.fits")
    return found


def seconds(files: list[Path], workers: int) -> float:
    """Of one ingest, from the start of the program to its end."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["-o", f"{folder}/apogee.h5", "--workers", str(workers)]
        command = [sys.executable, "-c", COMMAND, "ingest", "apogee", *map(str, files), *options]
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, help="native apStar files")
    parser.add_argument("--count", type=int, default=900)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    asked = parser.parse_args()
    print("| processes | files/s | start-up (s) | files/s, start-up included |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        many = copies(asked.files, asked.count, Path(folder))
        few = many[: asked.count // 3]
        for workers in asked.workers:
            short, long = seconds(few, workers), seconds(many, workers)
            each = (long - short) / (len(many) - len(few))
            row = 1.0 / each, long - each * len(many), len(many) / long
            print(f"| {workers} | {row[0]:.0f} | {row[1]:.1f} | {row[2]:.0f} |", flush=True)


if __name__ == "__main__":
    main()
