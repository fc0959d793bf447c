"""Configurations: TOML and ``key=value`` into a checked pydantic model, and back."""

import copy
import difflib
import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from synth2obs.core.errors import ConfigError, DataError
from synth2obs.core.unpacked import read_text

Config = TypeVar("Config", bound=BaseModel)
Setting = str | float


def load_config(model: type[Config], path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """A configuration from a TOML file and overrides; later wins.

    Args:
        model: Pydantic model with ``extra="forbid"``, so that an unknown key is an error.
        path: TOML file.
        overrides: ``section.key=value``; the value is a TOML literal, or else a bare string. A number
            in the key is a position in a list.

    Raises:
        ConfigError: For a file that is missing or not TOML, an unknown key (with the known ones and
            the nearest), or a value of the wrong type or out of range.
    """
    return parse_config(model, overridden(_read_toml(Path(path)), overrides), source=str(path))


def overridden(tree: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Nested tables with ``section.key=value`` put into a copy.

    Raises:
        ConfigError: For an override that is none, or that leads nowhere.
    """
    copied = copy.deepcopy(dict(tree))
    for override in overrides:
        _apply(copied, override)
    return copied


def parse_config(model: type[Config], tree: Mapping[str, Any], *, source: str = "config") -> Config:
    """A configuration from nested tables; errors begin with ``source``.

    Raises:
        ConfigError: As for `load_config`.
    """
    try:
        return model.model_validate(dict(tree))
    except ValidationError as error:
        lines = [_explain(model, problem) for problem in error.errors()]
        raise ConfigError(f"{source}: " + "\n".join(lines)) from None


def resolved_json(config: BaseModel) -> str:
    """Every value in force, defaults included, as JSON with sorted keys."""
    return json.dumps(config.model_dump(mode="json"), indent=2, sort_keys=True, ensure_ascii=False)


def resolved_toml(config: BaseModel) -> str:
    """Every value in force, defaults included, as TOML that `load_config` reads.

    A value of None is left out, because TOML has no null.
    """
    return "\n".join(_toml_lines(config.model_dump(mode="json"), ())).strip() + "\n"


def flatten(config: BaseModel) -> dict[str, Setting]:
    """Dotted keys to numbers or text, e.g. ``{"decoder.rank": 24}``.

    Numbers and booleans stay what they are; a list becomes its JSON, and None the text ``none``.
    """
    return dict(_leaves(config.model_dump(mode="json"), ""))


def digest(settings: Mapping[str, Setting]) -> str:
    """sha256 of flattened settings, whatever their order."""
    return hashlib.sha256(json.dumps(dict(settings), sort_keys=True).encode()).hexdigest()


def differences(old: Mapping[str, Setting], new: Mapping[str, Setting]) -> list[str]:
    """One line for each setting that differs, e.g. ``decoder.rank: 16 → 24``."""
    keys = sorted(old.keys() | new.keys())
    pairs = [(key, old.get(key, "(absent)"), new.get(key, "(absent)")) for key in keys]
    return [f"{key}: {before} → {after}" for key, before, after in pairs if before != after]


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(read_text(path))
    except DataError as error:
        raise ConfigError(f"{error}; give the path of a TOML file") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}; correct that line") from None


def _apply(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    *sections, last = (part.strip() for part in key.split("."))
    if not equals or not all((*sections, last)):
        raise ConfigError(f"override {override!r} is not key=value; write for example decoder.rank=24")
    node: Any = tree
    for section in sections:
        node = _enter(node, section, override)
    if isinstance(node, list):
        node[_position(node, last, override)] = _literal(text)
    else:
        node[last] = _literal(text)


def _enter(node: Any, section: str, override: str) -> Any:
    inner = (
        node[_position(node, section, override)] if isinstance(node, list) else node.setdefault(section, {})
    )
    if not isinstance(inner, (dict, list)):
        raise ConfigError(f"override {override!r}: {section!r} is the value {inner!r}, not a section")
    return inner


def _position(items: list[Any], text: str, override: str) -> int:
    if not (text.isdecimal() and int(text) < len(items)):
        raise ConfigError(f"override {override!r}: {text!r} is no position in a list of {len(items)}")
    return int(text)


def _literal(text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text.strip()
    return parsed["value"] if parsed.keys() == {"value"} else text


def _explain(model: type[BaseModel], problem: Any) -> str:
    *place, key = list(_without_tags(model, problem["loc"])) or ("",)
    where = ".".join(map(str, place))
    if problem["type"] == "extra_forbidden":
        return (
            f"{where + ': ' if where else ''}unknown {key!r}; {_known(model, problem['loc'][:-1], str(key))}"
        )
    full = ".".join(map(str, (*place, key))) or model.__name__
    if problem["type"] == "union_tag_invalid":
        return f"{full}.name: unknown {problem['ctx']['tag']!r}; known: {problem['ctx']['expected_tags']}"
    if problem["type"] == "missing":
        return f"{full}: missing; add it to the file or give {full}=value"
    if problem["type"] == "value_error":
        # A whole table would bury the reason, which names what is wrong in it.
        found = "" if isinstance(problem["input"], Mapping) else f" (got {problem['input']!r})"
        return f"{full}: {problem['ctx']['error']}{found}"
    rule = problem["msg"][:1].lower() + problem["msg"][1:]
    return f"{full}: {rule}, got {problem['input']!r}; change it in the file or give {full}=value"


def _known(model: type[BaseModel], place: Sequence[Any], key: str) -> str:
    section = _section(model, place)
    if section is None:
        return "remove it"
    known = list(section.model_fields)
    near = difflib.get_close_matches(key, known, n=1)
    return f"known: {', '.join(known)}" + (f"; did you mean {near[0]!r}?" if near else "")


def _section(model: type[BaseModel], place: Sequence[Any]) -> type[BaseModel] | None:
    """The model of the section at ``place``; positions and names in containers lead to their items."""
    here: type[BaseModel] | None = model
    choices: list[type[BaseModel]] = []
    for key in place:
        if here is not None and key in here.model_fields:
            choices = list(models_in(here.model_fields[key].annotation))
            here = next(iter(choices), None)
        else:
            here = next((one for one in choices if tag_of(one) == key), here)
    return here


def _without_tags(model: type[BaseModel], place: Sequence[Any]) -> Iterator[Any]:
    """A place as a user writes it: pydantic adds the name of the entry behind a table that chooses one."""
    for depth, key in enumerate(place):
        here = _section(model, place[: depth + 1])
        if here is None or tag_of(here) != key:
            yield key


def tag_of(section: type[BaseModel]) -> Any:
    """The name of the registry's entry that a section configures; None for any other section."""
    field = section.model_fields.get("name")
    return None if field is None else field.default


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The sections that a field may hold; several where a registry's entry is chosen by name."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from models_in(inner)


def _leaves(node: Any, prefix: str) -> Iterator[tuple[str, Setting]]:
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(node, (str, int, float)):
        yield prefix, node
    else:
        yield prefix, "none" if node is None else json.dumps(node, sort_keys=True)


def _toml_lines(table: Mapping[str, Any], place: tuple[str, ...]) -> Iterator[str]:
    inner = {key: value for key, value in table.items() if isinstance(value, dict)}
    if place:
        yield f"\n[{'.'.join(map(_toml_key, place))}]"
    for key, value in table.items():
        if key not in inner and value is not None:
            yield f"{_toml_key(key)} = {_toml(value)}"
    for key, value in inner.items():
        yield from _toml_lines(value, (*place, key))


def _toml_key(key: str) -> str:
    bare = key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    return key if bare else json.dumps(key, ensure_ascii=False)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        pairs = (f"{_toml_key(key)} = {_toml(item)}" for key, item in value.items() if item is not None)
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, (bool, str)):
        return json.dumps(value, ensure_ascii=False)
    return repr(value)
