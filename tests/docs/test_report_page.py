"""docs/report.md names everything that a run leaves for its reports."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

SURVEYS = {"miles", "stelib"}
OPEN = {"config", "digests", "versions", "reasons"}
"""Tables whose keys are those of the settings or of the data."""


@pytest.fixture(scope="module")
def words():
    """Everything on the page that could be a key."""
    page = Path(__file__).parents[2] / "docs" / "report.md"
    return set(re.findall(r"\w+", page.read_text(encoding="utf-8")))


def keys(tree: Mapping) -> Iterator[str]:
    """Of a tree of tables and lists of tables."""
    for key, value in tree.items():
        yield key
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, Mapping) and key not in OPEN:
                yield from keys(item)


def test_metrics(trained, words):
    found = set(keys(json.loads((trained.folder / "metrics.json").read_text(encoding="utf-8")))) - SURVEYS
    assert len(found) > 50 and not found - words


def test_arrays(trained, words):
    """A name may be given by its ending: ``example_observed``, ``_theory``."""
    with np.load(trained.folder / "evaluation" / "miles.npz") as arrays:
        names = set(arrays)
    assert not {name for name in names - words if f"_{name.partition('_')[2]}" not in words}
