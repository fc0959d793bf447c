"""Makes ``own_grid_files`` importable by the tests beside this file."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "io"))
