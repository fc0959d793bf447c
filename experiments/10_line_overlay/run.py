"""The closed loop: theory, nature with errors of log gf, survey, training, overlay, theory again, and what is left.

python experiments/10_line_overlay/run.py OUT [--seed 20]

Started again it goes on where it was. It needs Turbospectrum, MARCS and their line list (`synth2obs grid engines`).
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
COMMAND = [sys.executable, "-m", "synth2obs.cli"]


def call(out: Path, *words: str) -> None:
    """Run a command in a folder."""
    print("$", *words, flush=True)
    start = [sys.executable, str(HERE / words[0])] if words[0].endswith(".py") else [*COMMAND, words[0]]
    subprocess.run([*start, *words[1:]], cwd=out, check=True)


def grid(out: Path, name: str, *options: str, gradients: bool = True) -> None:
    """A grid of the recipe, with gradient spectra where a training needs them."""
    for verb in ("build", "gradients")[: 1 + gradients]:
        call(out, "grid", verb, "recipe.toml", "-o", name, *options)


def main() -> None:
    """All steps in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", default="20", help="of the errors, the survey and the training")
    args = parser.parse_args()
    os.nice(19)
    os.environ["OMP_NUM_THREADS"] = "1"
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    for name in ("recipe.toml", "bench.toml"):
        shutil.copy(HERE / name, out)
    seed = f"seed={args.seed}"
    if not (out / "template.h5").exists():
        call(out, "template.py", "-o", "template.h5")
    grid(out, "theory.h5")
    if not (out / "truth.ecsv").exists():
        call(out, "truth.py", "recipe.toml", "-o", "truth.ecsv", "--seed", args.seed)
    grid(out, "nature.h5", "--overlay", "truth.ecsv", gradients=False)
    call(out, "prove", "bench.toml", seed, "-o", "before")
    if not (out / "overlay.ecsv").exists():
        survey = ("before/nature/bridge", "before/nature/survey.h5", "-s", "survey")
        call(out, "gap", *survey, "--lines", "recipe.toml", "-o", "gap.ecsv", "--overlay", "overlay.ecsv")
    grid(out, "corrected.h5", "--overlay", "overlay.ecsv")
    call(out, "prove", "bench.toml", seed, "simulation.grid=corrected.h5", "-o", "after")
    call(out, "score.py", "recipe.toml", "truth.ecsv", "overlay.ecsv")
    pairs = ("theory.h5", "before/nature", "corrected.h5", "after/nature")
    call(out, "left.py", "nature.h5", *pairs)


if __name__ == "__main__":
    main()
