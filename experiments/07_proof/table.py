"""Print the tables of a finished bench as Markdown: ``python experiments/07_proof/table.py runs/proof``."""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from synth2obs.analysis.proof.measures import MEASURES
from synth2obs.reports.content import DASH, PageTable
from synth2obs.reports.proof_figures import FALLING
from synth2obs.reports.proof_tables import (
    TITLES,
    between_table,
    instrument_table,
    slope_table,
    survey_tables,
    text_of,
)


def markdown(table: PageTable) -> Iterator[str]:
    """Lines of a table, the best of a column in bold."""
    yield f"| {' | '.join(table.columns)} |"
    yield f"| {' | '.join('---' for _ in table.columns)} |"
    for row in table.rows:
        yield f"| {' | '.join(f'**{cell.text}**' if cell.best else cell.text for cell in row)} |"
    yield ""


def against_stars(surveys: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Scores of every method against the number of stars that train, a table a score."""
    counts = [str(survey["facts"]["stars"]) for survey in surveys]
    for key in FALLING:
        measure = MEASURES[key]
        yield f"{measure.title} ({measure.unit})".removesuffix(" ()")
        yield from ("", f"| | {' | '.join(counts)} |", f"| --- {'| --- ' * len(counts)}|")
        for method in surveys[0]["methods"]:
            cells = [text_of(survey["methods"][method], key, measure) for survey in surveys]
            if any(cell != DASH for cell in cells):
                yield f"| {TITLES[method]} | {' | '.join(cells)} |"
        yield ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="what `synth2obs prove -o` wrote")
    scores = json.loads((parser.parse_args().folder / "scores.json").read_text(encoding="utf-8"))
    for scenario, slopes in scores["slopes"].items():
        print(f"## {scenario}: slopes\n", *markdown(slope_table(slopes)), sep="\n")
    for scenario, names in scores["scenarios"].items():
        surveys = [scores["surveys"][name] for name in names]
        if len({survey["facts"]["stars"] for survey in surveys}) > 1:
            print(f"## {scenario}: stars that train\n", *against_stars(surveys), sep="\n")
    for scenario, rows in scores["same_stars"].items():
        print(f"## {scenario}: the same stars\n", *markdown(between_table(rows)), sep="\n")
    for name, survey in scores["surveys"].items():
        print(f"## {name}\n\n{json.dumps(survey['facts'])}\n")
        for table in (instrument_table(survey["instrument"]), *survey_tables(survey["methods"])):
            print(*markdown(table), sep="\n")


if __name__ == "__main__":
    main()
