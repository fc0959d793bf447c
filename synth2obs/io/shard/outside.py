"""What an HDF5 file can take from elsewhere: it is refused, for a file is what its bytes say and nothing else."""

from pathlib import Path
from typing import Any

import h5py

from synth2obs.core.errors import DataError

FREE, RATIO = 2**26, 1000
"""Bytes beyond which a dataset may not be larger than its file by more than this factor: what is not stored is filled
up with zeros when it is read."""

REMEDY = "copy what it points to into the file itself"


def refuse_outside(file: h5py.File, path: Path) -> None:
    """Refuse links to other files, storage in other files, virtual datasets, and datasets of next to no bytes.

    Raises:
        DataError: Naming the first.
    """
    todo, seen = [file["/"]], set[Any]()
    while todo:
        group = todo.pop()
        place = h5py.h5o.get_info(group.id)
        if (place.fileno, place.addr) in seen:
            continue
        seen.add((place.fileno, place.addr))
        for name in group:
            found = _member(group, name, path)
            if isinstance(found, h5py.Group):
                todo.append(found)


def _member(group: h5py.Group, name: str, path: Path) -> Any:
    """A member of a group that stands in the file itself; None for a link to what is not there."""
    field = f"{group.name.rstrip('/')}/{name}"
    link = group.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        raise DataError(f"is a link to {link.filename!r}", path=path, field=field, remedy=REMEDY)
    found = group.get(name)
    if isinstance(found, h5py.Dataset):
        _refuse_storage(found, path, field)
    return found


def _refuse_storage(dataset: h5py.Dataset, path: Path, field: str) -> None:
    if dataset.nbytes > FREE and dataset.nbytes > RATIO * path.stat().st_size:
        found = f"claims {dataset.nbytes / 1e6:.0f} MB in a file of {path.stat().st_size / 1e6:.3g} MB"
        raise DataError(found, path=path, field=field, remedy="write it again with its data")
    if dataset.external:
        where = dataset.external[0][0]
        raise DataError(f"is stored in {where!r}", path=path, field=field, remedy=REMEDY)
    if dataset.is_virtual:
        where = dataset.virtual_sources()[0].file_name
        raise DataError(f"is a virtual dataset over {where!r}", path=path, field=field, remedy=REMEDY)
