"""docs/theory_grids.md names every key of a recipe with its default and its meaning."""

import json
from pathlib import Path

import pytest

from synth2obs.synthesis.recipe import GradientsConfig, LabelsConfig
from synth2obs.synthesis.sampling import SAMPLINGS
from synth2obs.synthesis.settings import (
    EngineConfig,
    GridConfig,
    LineListConfig,
    OutputConfig,
    SpectrumConfig,
)

LINES = (Path(__file__).parents[2] / "docs" / "theory_grids.md").read_text(encoding="utf-8").splitlines()
SECTIONS = {
    "grid": GridConfig,
    "labels": LabelsConfig,
    "engine": EngineConfig,
    "spectrum": SpectrumConfig,
    "line_list": LineListConfig,
    "output": OutputConfig,
    "gradients": GradientsConfig,
}


def rows():
    """A row of the page's tables for each key."""
    sections = [*SECTIONS.items(), *(("sampling", kind.Config) for kind in SAMPLINGS.values())]
    for section, model in sections:
        for name, field in model.model_fields.items():
            if (section, name) == ("sampling", "name"):
                continue
            default = "required"
            if not field.is_required():
                value = field.get_default(call_default_factory=True)
                default = f"`{json.dumps(value, ensure_ascii=False)}`"
            yield f"| `{section}.{name}` | {default} | {field.description} |"


@pytest.mark.parametrize("row", list(rows()), ids=lambda row: row.split("`")[1])
def test_the_page_has_every_key(row):
    assert row in LINES, f"docs/theory_grids.md should have the row\n{row}"


def test_the_page_has_every_sampling():
    for name, kind in SAMPLINGS.items():
        assert f"| `{name}` | {kind.Config.__doc__.strip().splitlines()[0]} |" in LINES
