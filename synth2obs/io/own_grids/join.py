"""Sources of spectra as one grid's shard, in memory that does not grow with them."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.files import atomic_path, refuse_overwriting
from synth2obs.core.spectra import Spectra
from synth2obs.io.embedded import resolve
from synth2obs.io.own_grids.agree import refuse_differences
from synth2obs.io.own_grids.described import described_files, open_described
from synth2obs.io.own_grids.part import GridPart, without_flux
from synth2obs.io.own_grids.shards import open_grid_shard
from synth2obs.io.own_grids.write import write_parts
from synth2obs.io.shard.check import check_shard, refuse

Progress = Callable[[int, int], None]
SUFFIX = ".toml"


def join_grids(
    sources: Sequence[str | Path],
    out: str | Path,
    *,
    name: str = "",
    progress: Progress = lambda done, total: None,
) -> Path:
    """Write one checked grid from descriptions and shards, atomically.

    Args:
        sources: Descriptions (``.toml``) and shards of grids; all have the same pixels, line spread and labels.
        out: Shard to write, ``.h5``.
        name: Its domain; that of the first source if empty.
        progress: Is told how many spectra are written, of how many.

    Raises:
        DataError: For whatever is wrong with a source, or if sources do not go together; no file is written.
        OutputError: If the shard cannot be written, or would be written over a source.
    """
    if not sources:
        raise DataError("nothing to join", field="sources", remedy="give a description or a shard")
    refuse_overwriting(out, [file for source in sources for file in _files(source)])
    parts = [open_source(source) for source in sources]
    refuse_differences(parts)
    out = Path(out)
    with atomic_path(out) as temporary:
        write_parts(temporary, _joined(parts, name), parts, progress)
        refuse(check_shard(temporary), out)
    return out


def _files(source: str | Path) -> list[Path]:
    """A shard, or a description and all files that it means."""
    path = resolve(source)
    return [path, *described_files(path)] if path.suffix == SUFFIX else [path]


def open_source(source: str | Path) -> GridPart:
    """A description or a shard, ready to be read.

    Raises:
        DataError: If it cannot be used as a grid.
    """
    path = resolve(source)
    return open_described(path) if path.suffix == SUFFIX else open_grid_shard(path)


def _joined(parts: Sequence[GridPart], name: str) -> Spectra:
    """Everything but the flux, of all parts."""
    tables = [part.table for part in parts]
    first = tables[0]
    total = sum(len(table) for table in tables)
    spread = first.line_spread
    for table in tables[1:]:
        spread = spread.join(table.line_spread)
    return first.with_valid(
        domain=name or first.domain,
        flux=without_flux(total),
        id=_column(tables, "id"),
        rv=_column(tables, "rv"),
        rv_error=_column(tables, "rv_error"),
        snr=_column(tables, "snr"),
        labels={label: np.concatenate([table.labels[label] for table in tables]) for label in first.labels},
        label_errors={},
        native=dict(_native(tables)),
        line_spread=spread,
        air_formula=next((table.air_formula for table in tables if table.air_formula), ""),
        provenance=_provenance(tables),
    )


def _column(tables: Sequence[Spectra], name: str) -> NDArray[Any]:
    return np.concatenate([getattr(table, name) for table in tables])


def _native(tables: Sequence[Spectra]) -> Iterator[tuple[str, NDArray[Any]]]:
    """Facts of any source; blank for spectra of one that does not have them. Texts win over numbers."""
    for name in dict.fromkeys(name for table in tables for name in table.native):
        columns = [table.native.get(name) for table in tables]
        text = any(column is not None and column.dtype.kind == "U" for column in columns)
        blank = "" if text else np.nan
        yield (
            name,
            np.concatenate(
                [
                    np.full(len(table), blank) if column is None else column.astype(str if text else float)
                    for table, column in zip(tables, columns, strict=True)
                ]
            ),
        )


def _provenance(tables: Sequence[Spectra]) -> dict[str, Any]:
    """That of the only source; of several what they have in common, and each under ``parts``."""
    each = [dict(table.provenance) for table in tables]
    if len(each) == 1:
        return each[0]
    theory = [one.get("theory", {}) for one in each]
    keys = dict.fromkeys(key for one in theory for key in one)
    return {
        "title": " + ".join(_words(one.get("title", "") for one in each)),
        "theory": {key: " / ".join(_words(one.get(key, "unknown") for one in theory)) for key in keys},
        "licence": " / ".join(_words(one.get("licence", "") or "unknown" for one in each)),
        "citation": _words(line for one in each for line in one.get("citation", [])),
        "broadening": " / ".join(_words(one.get("broadening", "unknown") for one in each)),
        "parts": each,
    }


def _words(values: Any) -> list[str]:
    """Each text once, in order."""
    return list(dict.fromkeys(str(value) for value in values))
