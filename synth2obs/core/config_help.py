"""What a setting means: its default, type, limits and description, from the model that checks it."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from synth2obs.core.config_io import models_in, tag_of
from synth2obs.core.errors import ConfigError

LIMITS = {
    "ge": "at least",
    "gt": "above",
    "le": "at most",
    "lt": "below",
    "min_length": "at least so many:",
    "max_length": "at most so many:",
    "pattern": "matching",
}
"""Words for the rules that pydantic attaches to a field."""


@dataclass(frozen=True)
class Setting:
    """One key, explained.

    Args:
        key: Dotted, as in ``key=value``.
        default: What it is if nobody says otherwise.
        kind: Its type.
        limits: Rules that a value must keep, in words.
        description: What it does.
        choice: Entry of a registry that has the key, where a table chooses one by ``name``.
    """

    key: str
    default: Any
    kind: str
    limits: tuple[str, ...]
    description: str
    choice: str = ""

    def __str__(self) -> str:
        """Two or three lines for people."""
        rules = "".join(f", {limit}" for limit in self.limits)
        where = f" (where name is {self.choice!r})" if self.choice else ""
        return f"{self.key} = {self.default!r}{where}\n  {self.kind}{rules}\n  {self.description}".rstrip()

    def facts(self) -> dict[str, Any]:
        """For programs."""
        names = ("default", "kind", "limits", "description", "choice")
        return {name: getattr(self, name) for name in names}


def explained(model: type[BaseModel], key: str) -> list[Setting]:
    """A key, or every key of a section.

    Args:
        model: Of all settings.
        key: Dotted, e.g. ``gap`` or ``gap.iterations``.

    Raises:
        ConfigError: For a key that does not exist; the message has the nearest.
    """
    every = list(_settings(model, ""))
    found = [one for one in every if one.key == key or one.key.startswith(f"{key}.")]
    if found:
        return found
    known = {one.key for one in every} | {one.key.rpartition(".")[0] for one in every} - {""}
    near = difflib.get_close_matches(key, sorted(known), n=3)
    last = key.rpartition(".")[2]
    near += [name for name in sorted(known) if name.rpartition(".")[2] == last and name not in near]
    remedy = f"did you mean {', '.join(near)}?" if near else "see `synth2obs config`"
    raise ConfigError(f"unknown setting {key!r}; {remedy}")


def _settings(model: type[BaseModel], prefix: str, choice: str = "") -> Iterator[Setting]:
    for name, field in model.model_fields.items():
        key, sections = f"{prefix}{name}", list(models_in(field.annotation))
        default = field.get_default(call_default_factory=True)
        if not isinstance(default, BaseModel):
            yield Setting(key, default, _kind(field), _limits(field), field.description or "", choice)
        elif len(sections) == 1:
            yield from _settings(sections[0], f"{key}.")
        else:
            yield from _chosen(sections, default, f"{key}.")


def _chosen(sections: list[type[BaseModel]], default: BaseModel, prefix: str) -> Iterator[Setting]:
    """Keys of the entry that is meant by default, then those that only other entries have."""
    seen: set[str] = set()
    names = f"one of {', '.join(str(tag_of(section)) for section in sections)}"
    for section in sorted(sections, key=lambda one: one is not type(default)):
        own = "" if section is type(default) else str(tag_of(section))
        for one in _settings(section, prefix, own):
            if one.key not in seen:
                seen.add(one.key)
                yield replace(one, kind=names) if one.key == f"{prefix}name" else one


def _kind(field: FieldInfo) -> str:
    """A type as people say it."""
    annotation = field.annotation
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def _limits(field: FieldInfo) -> tuple[str, ...]:
    rules = [
        (name, getattr(rule, name))
        for rule in field.metadata
        for name in LIMITS
        if getattr(rule, name, None) is not None
    ]
    return tuple(f"{LIMITS[name]} {value}" for name, value in rules)
