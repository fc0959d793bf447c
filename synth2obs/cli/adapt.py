"""The command that adds a survey to a trained bridge."""

from pathlib import Path
from typing import Annotated

import typer

from synth2obs.cli.common import Json, Model, Out, Overrides, Store, errors_for_people, writable
from synth2obs.cli.messages import Level, LogLevel, Quiet, messages
from synth2obs.cli.runs import WRITTEN, Promote, run_and_tell
from synth2obs.core.errors import DataError
from synth2obs.core.files import named_files, refuse_within


def adapt(
    model: Model,
    survey: Annotated[str, typer.Option("--survey", "-s", help="NAME=SHARD; SHARD alone has its own name")],
    overrides: Overrides = None,
    out: Out = Path("synth2obs-adapted"),
    promote: Promote = False,
    store: Store = None,
    quiet: Quiet = False,
    log_level: LogLevel = Level.info,
    as_json: Json = False,
) -> None:
    """Add a survey to a trained bridge: minutes, for theory is not trained again; resumable.

    Learns the new survey's instrument, noise, morph and gap from its own spectra, evaluates, reports and registers.
    What the bridge knows of theory and of its other surveys stays as it is, to the last bit.

    Example: synth2obs adapt runs/first --survey mine=mine.h5 --out runs/with_mine
    """
    with errors_for_people(), messages(quiet, log_level) as bars:
        writable(out)
        from synth2obs.api import bundle_of
        from synth2obs.training.adapted import adaptation

        name, shard = named(survey)
        base = bundle_of(model, store)
        settings = adaptation(base, name, shard, overrides or [])
        refuse_within(out, WRITTEN, [base, *named_files(settings.model_dump(mode="json"))])
        run_and_tell(settings, out, bars=bars, as_json=as_json, promote=promote, base=base)


def named(survey: str) -> tuple[str, str]:
    """Name and shard of ``NAME=SHARD``, or of a shard whose domain is its name.

    Raises:
        DataError: If the shard cannot be read.
    """
    name, equals, shard = survey.partition("=")
    if equals and not Path(survey).exists():
        if not (name and shard):
            raise DataError(f"got {survey!r}", field="--survey", remedy="give NAME=SHARD, or a shard")
        return name, shard
    from synth2obs.io.embedded import resolve
    from synth2obs.io.shard.read import read_shard

    return read_shard(resolve(survey), slice(1)).domain, survey
