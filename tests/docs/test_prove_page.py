"""docs/prove.md names every setting of a bench, every scenario and every score."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from synth2obs.analysis.baselines import ABLATIONS
from synth2obs.analysis.networks import NETWORKS
from synth2obs.analysis.proof.measures import MEASURES
from synth2obs.analysis.proof.settings import SCENARIOS, ProveConfig, SimulationConfig

PAGE = (Path(__file__).parents[2] / "docs" / "prove.md").read_text(encoding="utf-8")


def settings() -> Iterator[str]:
    """A row of the page's table for each setting."""
    tables = [("", ProveConfig), ("simulation.", SimulationConfig)]
    tables += [(f"networks.{name}.", network.Config) for name, network in NETWORKS.items()]
    tables += [(f"scenarios.{name}.", config) for name, config in SCENARIOS.items()]
    for prefix, config in tables:
        for name, field in config.model_fields.items():
            if name not in ("name", "simulation", "networks"):
                default = (
                    "required"
                    if field.is_required()
                    else f"`{json.dumps(field.default, ensure_ascii=False)}`"
                )
                text = (field.description or "").replace("|", chr(92) + "|")
                yield f"| `{prefix}{name}` | {default} | {text} |"


@pytest.mark.parametrize("row", list(settings()), ids=lambda row: row.split("`")[1])
def test_the_page_has_every_setting(row):
    assert row in PAGE.splitlines(), f"docs/prove.md should have the row\n{row}"


def test_the_page_has_nothing_else():
    table = PAGE.split("## Settings")[1]
    assert sorted(line for line in table.splitlines() if line.startswith("| `")) == sorted(settings())


@pytest.mark.parametrize("name", [*SCENARIOS, *ABLATIONS, *NETWORKS])
def test_the_page_has_every_scenario_ablation_and_network(name):
    assert f"`{name}`" in PAGE


@pytest.mark.parametrize("key", MEASURES)
def test_the_page_has_every_score(key):
    whole, end = f"`{key}`", f"`…_{key.rpartition('_')[2]}`"
    assert whole in PAGE or end in PAGE
