"""docs/settings.md names every setting with its default and its meaning."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from synth2obs.training.config import TrainConfig

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def settings(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """A row of the page's tables for each setting."""
    for name, field in model.model_fields.items():
        if isinstance(field.default, BaseModel):
            yield from settings(type(field.default), f"{prefix}{name}.")
        else:
            default = json.dumps(field.default, ensure_ascii=False)
            yield f"| `{prefix}{name}` | `{default}` | {(field.description or '').replace('|', chr(92) + '|')} |"


@pytest.mark.parametrize("row", list(settings(TrainConfig)), ids=lambda row: row.split("`")[1])
def test_the_page_has_every_setting(row):
    assert row in PAGE.read_text(encoding="utf-8").splitlines(), (
        f"docs/settings.md should have the row\n{row}"
    )


def test_the_page_has_nothing_else():
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(settings(TrainConfig))
