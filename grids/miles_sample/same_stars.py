"""Build synth2obs/data/same_stars.csv: `python grids/miles_sample/same_stars.py SOURCE_FOLDER [OUTPUT]`."""

import sys
from pathlib import Path

from synth2obs.core.files import write_atomic
from synth2obs.io.surveys.matches import read_matches

OUTPUT = Path(__file__).resolve().parents[2] / "synth2obs" / "data" / "same_stars.csv"

if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    matches = read_matches(Path(sys.argv[1]) / "miles_stelib_same_stars.txt")
    rows = ["star,miles,stelib", *(f"{stelib},{miles},{stelib}" for miles, stelib in matches.items())]
    write_atomic(sys.argv[2] if len(sys.argv) == 3 else OUTPUT, ("\n".join(rows) + "\n").encode())
