"""Measures the library beside its peers, prints tables and writes JSON: `python experiments/benchmarks/run.py`."""

import argparse
import json
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import scipy
import torch

from benchmarks import report
from benchmarks.peers import PACKAGES
from benchmarks.tables import (
    DTYPES,
    Setting,
    encode,
    fit,
    generate,
    layers,
    looks,
    operators,
    sampling,
    scaling,
)

TABLES: dict[str, Callable[[Setting], report.Table]] = {
    "operator": operators.measure,
    "sampling": sampling.measure,
    "layers": layers.measure,
    "generate": generate.measure,
    "encode": encode.measure,
    "fit": fit.measure,
    "looks": looks.measure,
    "scaling": scaling.measure,
}
FORMAT = "synth2obs-benchmarks/1"


def environment() -> dict[str, Any]:
    """Processor and versions: what a rate depends on."""
    versions = {need.distribution: need.version for need in PACKAGES}
    return {
        "cpu": _cpu(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "peers": {name: version or "not installed" for name, version in versions.items()},
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=TABLES, help="one table; repeat for more (default: all)"
    )
    parser.add_argument("--threads", default="1", help="numbers of threads, such as 1,2 (default: 1)")
    parser.add_argument(
        "--dtype", default=",".join(DTYPES), help="of the operator (default: float32,float64)"
    )
    parser.add_argument("--surveys", default=",".join(Setting.surveys), help="of the operator")
    parser.add_argument(
        "--repeats", type=int, default=Setting.repeats, help="samples per time (default: %(default)s)"
    )
    parser.add_argument("--device", default=Setting.device, help="of the operator: cpu or cuda")
    parser.add_argument(
        "--memory", type=float, default=Setting.memory, help="GiB per call (default: %(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes: a trial of the program, in seconds")
    parser.add_argument("--markdown", action="store_true", help="print tables as the documentation has them")
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks.json"), help="JSON; the plot goes beside it"
    )
    parser.add_argument("--read", type=Path, help="print the tables of an earlier JSON instead of measuring")
    parser.add_argument("--into", type=Path, help="with --read: put the tables into this document instead")
    return parser.parse_args(arguments)


def setting_of(options: argparse.Namespace) -> Setting:
    """What the command line asks for.

    Raises:
        ValueError: For a precision or survey that is not known, or a number below 1.
    """
    return Setting(
        threads=tuple(int(count) for count in options.threads.split(",")),
        dtypes=tuple(options.dtype.split(",")),
        surveys=tuple(options.surveys.split(",")),
        repeats=options.repeats,
        device=options.device,
        memory=options.memory,
        quick=options.quick,
    )


def earlier(out: Path) -> dict[str, Any]:
    """What an earlier measurement with the same processor and versions left, else a start."""
    start: dict[str, Any] = {"format": FORMAT, "environment": environment(), "tables": {}}
    if not out.exists():
        return start
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    same = all(found.get(key) == start[key] for key in ("format", "environment"))
    return found if same else start


def measure(names: Sequence[str], setting: Setting, out: Path, show: Callable[[report.Table], str]) -> None:
    """Measure, print and write one table after the other; what is done is kept if a later one fails.

    Tables that ``out`` already has from the same processor and versions stay, unless they are measured again.
    """
    results = earlier(out)
    for name in names:
        table = TABLES[name](setting)
        print(show(table), flush=True)
        results["tables"][name] = {**table.as_json(), "setting": vars(setting)}
        out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        if name == "scaling":
            scaling.plot(table, out.with_suffix(".png"))


def read(
    results: Path, names: Sequence[str] | None, show: Callable[[report.Table], str], document: Path | None
) -> None:
    """Print the tables of an earlier measurement, or put them as Markdown into a document."""
    tables = json.loads(results.read_text(encoding="utf-8"))["tables"]
    for name in names or tables:
        table = report.Table.from_json(tables[name])
        if document is None:
            print(show(table))
            continue
        text = report.insert(document.read_text(encoding="utf-8"), name, report.markdown(table))
        document.write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    options = parse(arguments)
    show = report.markdown if options.markdown else report.text
    if options.read:
        read(options.read, options.only, show, options.into)
        return
    try:
        setting = setting_of(options)
    except ValueError as error:
        raise SystemExit(f"run.py: {error}") from error
    measure(options.only or list(TABLES), setting, options.out, show)


if __name__ == "__main__":
    main()
