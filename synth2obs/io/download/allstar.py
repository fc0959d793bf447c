"""Observations of APOGEE from a release's allStar table."""

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.io.download.where import rows_where


class FieldVisit(NamedTuple):
    """A star as a telescope saw it in a field."""

    telescope: str
    field: str
    star: str


def select(catalogue: Path, ids: Sequence[str], where: str | None) -> list[FieldVisit]:
    """All observations of some stars, of those that an expression chooses, or both.

    Only the columns that are asked for are read: the table has gigabytes.

    Args:
        catalogue: allStar table, FITS.
        ids: APOGEE_IDs; every star if there are none.
        where: See `where.rows_where`; every row if None.

    Raises:
        DataError: If the file is no allStar table, lacks a star, the expression is wrong, or nothing is left.
    """
    with _columns(catalogue) as column:
        stars, telescopes, fields = (column(name) for name in ("APOGEE_ID", "TELESCOPE", "FIELD"))
        chosen = np.ones(len(stars), dtype=bool)
        if ids:
            _refuse_unknown(ids, stars, catalogue)
            chosen &= np.isin(stars, list(ids))
        if where is not None:
            chosen &= rows_where(where, column, len(stars))
    if not chosen.any():
        raise DataError(f"no row has {where}", path=catalogue, field="where", remedy="ask for less")
    rows = zip(telescopes[chosen], fields[chosen], stars[chosen], strict=True)
    return list(dict.fromkeys(FieldVisit(*(str(part) for part in row)) for row in rows))


@contextmanager
def _columns(path: Path) -> Iterator[Any]:
    """Function from a name to a column of the first table; text without the blanks around it."""
    from astropy.io import fits

    if not path.is_file():
        raise DataError("no such file", path=path, field="catalogue", remedy="give an allStar table")
    try:
        with fits.open(path, memmap=True) as hdus:
            table = hdus[1].data
            names = [str(name) for name in table.dtype.names]
            yield lambda name: _column(table, name, names, path)
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"cannot be read as a table ({type(error).__name__})", path=path, remedy="give an allStar table"
        ) from error


def _column(table: Any, name: str, names: Sequence[str], path: Path) -> NDArray[Any]:
    name = name.upper()
    if name not in names:
        near = difflib.get_close_matches(name, names, 3, cutoff=0.4) or list(names[:5])
        raise DataError(f"has no column {name}", path=path, remedy=f"it has {', '.join(near)} …")
    values = np.asarray(table[name])
    return np.char.strip(values.astype(str)) if values.dtype.kind in "SU" else values


def _refuse_unknown(ids: Sequence[str], stars: NDArray[Any], path: Path) -> None:
    known = set(stars.tolist())
    missing = [one for one in ids if one not in known]
    if missing:
        near = difflib.get_close_matches(missing[0], stars.tolist(), 3) or stars[:3].tolist()
        raise DataError(
            f"{len(missing)} of {len(ids)} ids are not in it, first {missing[0]}",
            path=path,
            field="APOGEE_ID",
            remedy=f"the nearest that it has: {', '.join(near)}",
        )
