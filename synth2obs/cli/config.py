"""The command that shows settings: what is in force, what a key means, and their schema."""

import json
from pathlib import Path
from typing import Annotated

import typer

from synth2obs.cli.common import Json, Overrides, answer, errors_for_people


def config(
    file: Annotated[
        Path | None, typer.Argument(help="TOML of settings; the quick start's if left out")
    ] = None,
    overrides: Overrides = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of all settings")] = False,
    explain: Annotated[
        str | None, typer.Option("--explain", help="A key or a section, e.g. gap or gap.iterations")
    ] = None,
    as_json: Json = False,
) -> None:
    """Settings of a training as TOML: every value in force, defaults included.

    Example: synth2obs config

    Example: synth2obs config mine.toml gap.iterations=3

    Example: synth2obs config --explain gap.iterations

    Example: synth2obs config --schema > schema.json
    """
    with errors_for_people():
        from synth2obs.core.config_help import explained
        from synth2obs.core.config_io import resolved_toml
        from synth2obs.training.config import TrainConfig
        from synth2obs.training.run import read_config

        if schema:
            found = TrainConfig.model_json_schema()
            return answer(as_json, found, json.dumps(found, indent=2, ensure_ascii=False))
        if explain is not None:
            settings = explained(TrainConfig, explain)
            facts = {one.key: one.facts() for one in settings}
            return answer(as_json, facts, "\n\n".join(map(str, settings)))
        given = list(overrides or [])
        if file is not None and "=" in file.name:
            given, file = [str(file), *given], None
        whole = read_config(file, given)
        answer(as_json, whole.model_dump(mode="json"), resolved_toml(whole).rstrip())
