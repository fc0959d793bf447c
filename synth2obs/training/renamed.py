"""Settings by names that they had in earlier configurations: these go on working, and it is said what to write."""

from collections.abc import Mapping
from typing import Any

from synth2obs.core.told import LOG

RENAMED = {
    "latent": ("decoder", "latent"),
    "rank": ("decoder", "rank"),
    "hidden": ("decoder", "hidden"),
    "continuum_order": ("continuum", "order"),
    "density_layers": ("density", "layers"),
    "density_hidden": ("density", "hidden"),
    "morph_layers": ("morph", "layers"),
    "morph_hidden": ("morph", "hidden"),
}
"""Keys of the section ``model``, and the section and key of today."""


def renamed(tree: Any) -> Any:
    """Tables of settings with those of the section ``model`` where they stand today; what is unknown there stays.

    Raises:
        ValueError: If a setting is given by both names.
    """
    old = tree.get("model") if isinstance(tree, Mapping) else None
    if not isinstance(old, Mapping):
        return tree
    new = {key: dict(part) if isinstance(part, Mapping) else part for key, part in tree.items()}
    left = new.pop("model")
    for key in [key for key in old if key in RENAMED]:
        section, name = RENAMED[key]
        own = new.setdefault(section, {})
        if name in own:
            raise ValueError(f"model.{key} and {section}.{name} are one setting; leave the first out")
        own[name] = left.pop(key)
        LOG.warning("model.%s is called %s.%s now", key, section, name)
    return {**new, "model": left} if left else new
