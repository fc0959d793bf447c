"""Which attributes and datasets a shard must have, and of which shape and type."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import h5py

from synth2obs.core.constants import SHARD_FORMAT
from synth2obs.core.names import label_suggestion
from synth2obs.core.spectra_rules import CHOICES, choice_problems
from synth2obs.io.shard.fields import (
    ALWAYS,
    CODES,
    FIELDS,
    GROUPS,
    LABELS,
    NATIVE,
    OFFSETS,
    ORDERS,
    PIXELS,
    STARS,
    Field,
)
from synth2obs.io.shard.layout import ATTRIBUTES
from synth2obs.io.shard.rules import Problem


def attribute_problems(file: h5py.File) -> Iterator[Problem]:
    """Attributes that are missing or hold a value that the format does not know."""
    for name in ATTRIBUTES:
        if name not in file.attrs:
            yield Problem(
                name, "is missing among the attributes", "write the file with io.shard.write.write_shard"
            )
    version = file.attrs.get("format", SHARD_FORMAT)
    if version != SHARD_FORMAT:
        yield Problem(
            "format", f"is {version!r}, this version reads {SHARD_FORMAT!r}", "convert or ingest again"
        )
    for name, allowed in CHOICES.items():
        yield from choice_problems(name, file.attrs.get(name, allowed[0]))
    medium = file.attrs.get("medium", "vacuum")
    if medium != "vacuum":
        yield Problem("medium", f"is {medium!r}", "convert the wavelengths with io.air.air_to_vacuum")


def missing_problems(file: h5py.File) -> Iterator[Problem]:
    """Datasets that must be there and are not, or the other way round."""
    kind = file.attrs.get("kind")
    needed = [field.name for field in FIELDS if field.need == ALWAYS or field.need == kind]
    for name in [*needed, "provenance"]:
        if not isinstance(file.get(name), h5py.Dataset):
            yield Problem(name, "is missing", "write the file with io.shard.write.write_shard")
    if kind == "grid" and "ivar" in file:
        yield Problem("ivar", "a grid has no inverse variance", "remove it, or use kind survey")


def shape_problems(file: h5py.File) -> Iterator[Problem]:
    """Shapes and types that do not fit the flux."""
    shape = file["flux"].shape
    if len(shape) != 2 or 0 in shape:
        yield Problem("flux", f"has shape {shape}", "it must be (stars, pixels), neither 0")
        return
    sizes = {STARS: shape[0], PIXELS: shape[1], GROUPS: _groups(file)}
    for field in (*FIELDS, *_named(file, LABELS), *_named(file, NATIVE)):
        if field.name in file:
            yield from _shape_problem(file[field.name].shape, field, sizes)
    yield from _table_problems(file)
    yield from _group_problems(file)
    for kind, codes in CODES.items():
        yield from _types(file, [field.name for field in FIELDS if field.kind == kind], codes, kind)


def _named(file: h5py.File, field: Field) -> Iterator[Field]:
    """The datasets of a group."""
    group = field.name.partition("/")[0]
    if isinstance(file.get(group), h5py.Group):
        datasets = (name for name, one in file[group].items() if isinstance(one, h5py.Dataset))
        yield from (replace(field, name=f"{group}/{name}") for name in datasets)


def _group_problems(file: h5py.File) -> Iterator[Problem]:
    """Groups where datasets belong: that is what HDF5 makes of a slash in a name."""
    for field in (LABELS, NATIVE):
        group = field.name.partition("/")[0]
        columns = file.get(group)
        for name, one in columns.items() if isinstance(columns, h5py.Group) else ():
            if isinstance(one, h5py.Group):
                whole = "/".join([name, *list(one)[:1]])
                remedy = f"a name holds no slash; call it {label_suggestion(whole) or 'column'}"
                yield Problem(group, f"{whole!r} is a group", remedy)


def _shape_problem(found: tuple[int, ...], field: Field, sizes: Mapping[str, int]) -> Iterator[Problem]:
    """A shape that is none of the field's; lengths that are not among the sizes are free."""
    wanted = [tuple(sizes.get(axis, axis) for axis in shape) for shape in field.shapes]
    if any(_fits(found, one) for one in wanted):
        return
    words = " or ".join(str(one).replace("'", "") for one in wanted)
    flux = "" if ORDERS in words or OFFSETS in words else f"with flux {(sizes[STARS], sizes[PIXELS])} "
    yield Problem(field.name, f"has shape {found}", f"{flux}it must be {words}")


def _fits(found: tuple[int, ...], wanted: tuple[int | str, ...]) -> bool:
    if not any(isinstance(length, int) for length in wanted):
        return True
    return len(found) == len(wanted) and all(
        isinstance(length, str) or length == here for here, length in zip(found, wanted, strict=True)
    )


def _table_problems(file: h5py.File) -> Iterator[Problem]:
    """Tabulated line spreads: an offset for every entry, and no second description beside them."""
    if ("lsf/kernel" in file) != ("lsf/offset" in file):
        missing = "lsf/offset" if "lsf/kernel" in file else "lsf/kernel"
        yield Problem(missing, "is missing", "a tabulated line spread has kernel and offset")
    elif "lsf/kernel" in file and file["lsf/offset"].shape != file["lsf/kernel"].shape[2:]:
        yield Problem("lsf/offset", f"has shape {file['lsf/offset'].shape}", "one per entry of lsf/kernel")
    if "lsf/kernel" in file and "lsf/hermite" in file:
        yield Problem("lsf/hermite", "stands beside lsf/kernel", "describe the line spread in one way")


def _groups(file: h5py.File) -> int:
    sigma = file.get("lsf/sigma")
    return int(sigma.shape[0]) if isinstance(sigma, h5py.Dataset) and sigma.shape else 1


def _types(file: h5py.File, names: list[str], kinds: str, words: str) -> Iterator[Problem]:
    for name in names:
        if name in file and file[name].dtype.kind not in kinds:
            yield Problem(name, f"has type {file[name].dtype}", f"it must be {words}")
