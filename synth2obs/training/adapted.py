"""A survey that is added to a trained bridge: theory and the other surveys stay what they are, to the bit."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from synth2obs.core.config_io import flatten, overridden, parse_config
from synth2obs.core.errors import ConfigError, DataError, ModelError
from synth2obs.core.files import file_sha256
from synth2obs.core.threads import use_threads
from synth2obs.io.embedded import resolve
from synth2obs.models.bridge import Bridge
from synth2obs.models.bundle import WEIGHTS, load_bundle
from synth2obs.training.build import survey_models
from synth2obs.training.closing import closed_on_error
from synth2obs.training.config import TrainConfig
from synth2obs.training.domains import Domains, load_domains
from synth2obs.training.loop import AT_ONCE
from synth2obs.training.run import Trained, kept, open_tracker, run_card, staged, taught
from synth2obs.training.stages.critic import CriticStage
from synth2obs.training.stages.gap import GapStage
from synth2obs.training.stages.instrument import InstrumentStage
from synth2obs.training.stages.labels import LabelsStage
from synth2obs.training.stages.morph import MorphStage
from synth2obs.training.state import State

SECTIONS = {InstrumentStage.name: "latent"}
"""Sections of settings that have not the name of their stage."""


def adaptation(
    base: str | Path, survey: str, shard: str | Path, overrides: Sequence[str] = ()
) -> TrainConfig:
    """Settings with which a survey is added: those that the bridge was trained with, of this survey alone.

    Args:
        base: Folder of the bridge.
        survey: Name of the new survey.
        shard: Its spectra.
        overrides: ``section.key=value``; the grid and its range of wavelengths must stay.

    Raises:
        ConfigError: For a name that cannot be or that the bridge has already, or an override that does not fit.
        ModelError: If the bridge cannot be read or does not say how it was trained.
    """
    bridge = load_bundle(base)
    if survey in bridge.surveys:
        raise ConfigError(
            f"{base} knows {survey!r} already; give the new survey another name, e.g. {survey}_2"
        )
    known = bridge.card.get("config")
    if not known:
        raise ModelError(f"{base}: does not say with which settings it was trained; train it again")
    tree = {**known, "data": {**known["data"], "surveys": {survey: str(shard)}, "same_stars": ""}}
    return parse_config(TrainConfig, overridden(tree, overrides), source=str(base))


def adapt(base: str | Path, config: TrainConfig, out: str | Path, *, progress: bool = True) -> Trained:
    """Learn a new survey's instrument, noise, morph and gap on a trained bridge, or go on where a call stopped.

    Args:
        base: Folder of the bridge; it is not changed.
        config: From `adaptation`.
        out: Folder for checkpoints, the bundle of all surveys and the MLflow store.
        progress: Show progress bars.

    Returns:
        The training of the new survey; its ``bundle`` holds the old surveys, too.

    Raises:
        DataError, ConfigError, ModelError, OutputError, Interrupted: As the parts do.
    """
    began, folder, old = time.time(), Path(out), load_bundle(base)
    use_threads(config.threads)
    torch.use_deterministic_algorithms(True)
    domains = load_domains(config.data, config.seed)
    _require_same_theory(old, domains, config, base)
    torch.manual_seed(config.seed)
    alone = with_surveys(old, survey_models(config, domains, old.layers))
    state = State(alone, domains, config.seed, theory_held=True)
    stages = [
        InstrumentStage,
        LabelsStage,
        MorphStage,
        GapStage,
        *([CriticStage] * (config.critic.steps > 0)),
    ]
    settings = flatten(config) | {"adapted.bridge": file_sha256(Path(base) / WEIGHTS)}
    tracker = staged(
        state, config, folder, stages, lambda: open_tracker(config, folder), settings, progress, SECTIONS
    )
    with closed_on_error(tracker, AT_ONCE):
        card = run_card(config, began, base)
        whole = with_surveys(old, {name: alone.survey(name) for name in alone.surveys}, joined=True)
        whole.card = _card(old.card, card, state)
        alone.card = card | {"surveys": taught(state)}
        return Trained(state, config, kept(whole, folder, card), tracker, card)


def with_surveys(old: Bridge, surveys: Any, *, joined: bool = False) -> Bridge:
    """A bridge of the same theory with other surveys, or with others beside its own.

    Args:
        old: Whose theory; parts are shared, not copied.
        surveys: Models by name.
        joined: Keep the surveys of ``old``, too, before the new ones.
    """
    before = {name: old.survey(name) for name in old.surveys} if joined else {}
    return old.of_same_theory({**before, **surveys})


def _require_same_theory(old: Bridge, domains: Domains, config: TrainConfig, base: str | Path) -> None:
    """Refuse another grid than the one that taught a bridge.

    Raises:
        DataError: Naming what differs.
    """
    file = resolve(config.data.grid)
    known = old.card.get("digests", {}).get("grid")
    rest, grid = old.decoder.rest_wavelength, torch.from_numpy(domains.grid.spectra.wavelength)
    if (
        (known is None or known == file_sha256(file))
        and rest.shape == grid.shape
        and torch.equal(rest, grid.to(rest))
    ):
        return
    raise DataError(
        f"is not the grid, or not the range of wavelengths, that taught the bridge {base}",
        path=file,
        field="data.grid, data.start, data.stop",
        remedy="give the same file as data.grid=…, or train a new bridge",
    )


def _card(old: dict[str, Any], card: dict[str, Any], state: State) -> dict[str, Any]:
    """What a bridge was taught by, with how the new survey came to it."""
    added = {
        name: {key: card[key] for key in ("config", "digests", "started", "versions")}
        for name in taught(state)
    }
    return {
        **old,
        "surveys": {**old.get("surveys", {}), **taught(state)},
        "adapted": {**old.get("adapted", {}), **added},
    }
