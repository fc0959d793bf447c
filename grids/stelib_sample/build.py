"""Build synth2obs/data/stelib.h5: `python grids/stelib_sample/build.py SOURCE_FOLDER [OUTPUT]`."""

import sys
from pathlib import Path

from synth2obs.io.recipes import build, read_recipe
from synth2obs.io.shard.write import write_shard

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parents[1] / "synth2obs" / "data" / "stelib.h5"

if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    recipe = read_recipe(HERE / "recipe.toml")
    print(write_shard(build(recipe, sys.argv[1]), sys.argv[2] if len(sys.argv) == 3 else OUTPUT))
