"""Settings: tables whose keys are all known, and tables that choose one of several classes by name."""

from collections.abc import Mapping
from typing import Annotated, Any, Union

from pydantic import BaseModel, ConfigDict, Discriminator, Tag


class Section(BaseModel):
    """A table of settings: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def choice(configs: Mapping[str, type[Section]], default: str) -> Any:
    """The type of a table whose ``name`` says which entry of a registry it configures.

    Args:
        configs: Settings of every entry, by name; each has a field ``name`` with that value as its default.
        default: Entry that is meant where the table names none.

    Returns:
        An annotation for a field of a `Section`: keys are checked against those of the entry that was named.
    """

    def named(table: Any) -> Any:
        return table.get("name", default) if isinstance(table, Mapping) else getattr(table, "name", None)

    tagged = tuple(Annotated[config, Tag(name)] for name, config in configs.items())
    return Annotated[Union[tagged], Discriminator(named)]  # noqa: UP007 - made while running
