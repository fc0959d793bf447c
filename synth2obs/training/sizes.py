"""Sizes of a decoder that a grid bears, where the settings do not say them."""

import sys

from synth2obs.core.errors import ConfigError
from synth2obs.models.decoder.decoder import DecoderConfig
from synth2obs.training.config import TrainConfig
from synth2obs.training.domains import GridData

BEYOND_LABELS = 4
"""Latents beyond the number of labels: what labels do is curved, and spectra differ in more than their labels."""

FEWEST_LATENTS = 4
"""As `DecoderConfig` has it."""


def sized(config: TrainConfig, grid: GridData, *, tell: bool = True) -> TrainConfig:
    """The settings with a decoder that the grid bears: what is said stays, what is left out is made smaller.

    There are at most `BEYOND_LABELS` more latents than labels, fewer than spectra, and as many functions as
    spectra; gradient spectra count.

    Args:
        config: Settings of a training.
        grid: Its grid.
        tell: Whether to say on standard error what was made smaller.

    Raises:
        ConfigError: If more latents were asked for than functions.
    """
    given = config.decoder
    chosen = given.model_copy(update=_smaller(given, grid))
    if chosen.rank < chosen.latent:
        raise ConfigError(
            f"decoder.rank = {chosen.rank} is below decoder.latent = {chosen.latent}; "
            f"give decoder.rank={chosen.latent} or more"
        )
    if tell and chosen != given:
        print(_said(given, chosen, grid), file=sys.stderr)
    return config.model_copy(update={"decoder": chosen})


def _smaller(given: DecoderConfig, grid: GridData) -> dict[str, int]:
    spectra, said = int((~grid.held_out).sum()), given.model_fields_set
    gradients = grid.spectra.gradients
    bounds = len(grid.labels) + BEYOND_LABELS, spectra - 1, *([given.rank] * ("rank" in said))
    latent = given.latent if "latent" in said else max(FEWEST_LATENTS, min(given.latent, *bounds))
    rows = spectra + (0 if gradients is None else len(gradients) * len(gradients.values))
    rank = given.rank if "rank" in said else max(latent, min(given.rank, rows))
    return {"latent": latent, "rank": rank}


def _said(given: DecoderConfig, chosen: DecoderConfig, grid: GridData) -> str:
    names = [name for name in ("latent", "rank") if getattr(given, name) != getattr(chosen, name)]
    sizes = ", ".join(f"decoder.{name}={getattr(chosen, name)}" for name in names)
    spectra = int((~grid.held_out).sum())
    return f"{sizes}, for a grid of {spectra} spectra to learn from and {len(grid.labels)} labels"
