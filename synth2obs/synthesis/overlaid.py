"""Recipes whose line lists are corrected by an overlay."""

from pathlib import Path

from synth2obs.core.files import file_sha256
from synth2obs.synthesis.installed import locate
from synth2obs.synthesis.overlay import Overlay, other_lists, read_overlay
from synth2obs.synthesis.recipe import Recipe
from synth2obs.synthesis.settings import LineListConfig, OverlayConfig


def overlaid(recipe: Recipe, path: str | Path) -> Recipe:
    """A recipe whose line lists have the corrections of an overlay.

    Args:
        recipe: Of a grid.
        path: The overlay.

    Returns:
        The recipe in which every list that the overlay belongs to names it with its digest, so that its spectra are
        never taken for those of another overlay or of none.

    Raises:
        DataError: If the overlay cannot be read, or belongs to a list that the recipe does not have.
        EngineMissingError: If a list belongs to something that is not installed.
    """
    path = Path(path).resolve()
    overlay, own = read_overlay(path), OverlayConfig(file=str(path), sha256=file_sha256(path))
    digests = [file_sha256(locate(config.file)) for config in recipe.line_list]
    if not {each.sha256 for each in overlay.lists} <= set(digests):
        named = {config.file: digest for config, digest in zip(recipe.line_list, digests, strict=True)}
        raise other_lists(path, overlay, named)
    lists = tuple(
        _with(config, overlay, digest, own) for config, digest in zip(recipe.line_list, digests, strict=True)
    )
    return recipe.model_copy(update={"line_list": lists})


def _with(config: LineListConfig, overlay: Overlay, digest: str, own: OverlayConfig) -> LineListConfig:
    mine = digest in {each.sha256 for each in overlay.lists}
    return config.model_copy(update={"overlay": own}) if mine else config
