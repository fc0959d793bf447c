"""The timing of an ingest runs and prints its table."""

import subprocess
import sys
from pathlib import Path

RUN = Path(__file__).parents[2] / "experiments/03_ingest/run.py"


def test_a_row_for_every_number_of_processes(tmp_path, native):
    file = native.apstar(tmp_path / "apStar-dr17-2M00000001+0000001.fits")
    command = [sys.executable, str(RUN), str(file), "--count", "6", "--workers", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    row = done.stdout.splitlines()[-1].strip("| ").split(" | ")
    assert row[0] == "1" and float(row[-1]) > 0.0
