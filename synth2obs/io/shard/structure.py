"""Which attributes and datasets a shard must have, and of which shape and type."""

from collections.abc import Iterator

import h5py

from synth2obs.core.constants import SHARD_FORMAT
from synth2obs.io.shard.layout import (
    ATTRIBUTES,
    COLUMNS,
    FLUX_KINDS,
    FRAMES,
    KINDS,
    LSF_FIELDS,
    LSF_SHAPES,
)
from synth2obs.io.shard.rules import Problem

CHOICES = {"kind": KINDS, "frame": FRAMES, "flux_kind": FLUX_KINDS}


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
        value = file.attrs.get(name, allowed[0])
        if value not in allowed:
            yield Problem(name, f"is {value!r}", f"use one of {', '.join(allowed)}")
    medium = file.attrs.get("medium", "vacuum")
    if medium != "vacuum":
        yield Problem("medium", f"is {medium!r}", "convert the wavelengths with io.air.air_to_vacuum")


def missing_problems(file: h5py.File) -> Iterator[Problem]:
    """Datasets that must be there and are not, or the other way round."""
    kind = file.attrs.get("kind")
    needed = ["wavelength", "segment", "flux", "id", *COLUMNS, "lsf/sigma", "lsf/group", "provenance"]
    for name in [*needed, *(["ivar"] if kind == "survey" else [])]:
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
    stars, pixels = shape
    for name, allowed in _expected_shapes(file, stars, pixels).items():
        if name in file and file[name].shape not in allowed:
            wanted = " or ".join(str(one) for one in allowed)
            yield Problem(name, f"has shape {file[name].shape}", f"with flux {shape} it must be {wanted}")
    yield from _profile_shapes(file, pixels)
    floats = ["flux", "ivar", "wavelength", "lsf/sigma", *LSF_FIELDS, *COLUMNS]
    yield from _types(file, floats, "f", "floating point")
    yield from _types(file, ["segment", "lsf/group", "flags"], "iu", "integers")
    yield from _types(file, ["id"], "SO", "text")


def _profile_shapes(file: h5py.File, pixels: int) -> Iterator[Problem]:
    """Line spreads other than Gaussians: one profile per group and pixel, and an offset per entry of a table."""
    groups = _groups(file)
    for name, what in LSF_SHAPES.items():
        if name in file and (file[name].shape[:2] != (groups, pixels) or file[name].ndim != 3):
            yield Problem(name, f"has shape {file[name].shape}", f"it must be ({groups}, {pixels}, {what})")
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


def _expected_shapes(file: h5py.File, stars: int, pixels: int) -> dict[str, list[tuple[int, ...]]]:
    columns = ["id", *COLUMNS, "lsf/group"]
    for group in ("labels", "native"):
        if isinstance(file.get(group), h5py.Group):
            columns += [f"{group}/{name}" for name in file[group]]
    return {
        "wavelength": [(pixels,), (stars, pixels)],
        "segment": [(pixels,)],
        "ivar": [(stars, pixels)],
        "flags": [(stars, pixels)],
        "lsf/sigma": [(_groups(file), pixels)],
        **{name: [(stars,)] for name in columns},
    }
