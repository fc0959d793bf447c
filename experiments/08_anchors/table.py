"""Anchors of MILES and STELIB from a table of the Gaia FGK benchmark stars, as `[anchors] table` wants them."""

import argparse
import csv
from pathlib import Path

FE_H_ERROR = 0.05
"""dex; the benchmark table has none."""

HEADER = ("survey", "id", "teff", "teff_error", "logg", "logg_error", "fe_h", "fe_h_error", "hd")


def rows(path: Path) -> list[list[str]]:
    """A row for every star of MILES or STELIB, a star of both has two."""
    found = []
    with path.open(newline="") as stream:
        for row in csv.DictReader(stream):
            labels = [row["teff"], row["teff_error"], row["logg"], row["logg_error"], row["fe_h"]]
            for survey, name in (("miles", _miles(row["miles_id"])), ("stelib", _stelib(row["stelib_file"]))):
                if name:
                    found.append([survey, name, *labels, str(FE_H_ERROR), row["hd"]])
    return found


def _miles(number: str) -> str:
    return f"MILES_{int(number[-4:]):04d}" if number else ""


def _stelib(file: str) -> str:
    return file.removeprefix("STELIB_v3.2_").removesuffix(".fits")


def main() -> None:
    """Read and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "benchmarks", type=Path, help="CSV with hd, teff, logg, fe_h, errors, stelib_file, miles_id"
    )
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    with args.out.open("w", newline="") as stream:
        csv.writer(stream).writerows([HEADER, *rows(args.benchmarks)])


if __name__ == "__main__":
    main()
