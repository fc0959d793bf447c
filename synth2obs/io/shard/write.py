"""Write shards: spectra of one domain in one HDF5 file. The format is described in docs/data_format.md."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from synth2obs.core.constants import SHARD_FORMAT
from synth2obs.core.errors import DataError
from synth2obs.core.files import atomic_path
from synth2obs.core.labels import unit_of
from synth2obs.core.names import label_problem, part_problem
from synth2obs.core.spectra import Gradients, Spectra
from synth2obs.io.shard.check import check_shard, refuse
from synth2obs.io.shard.fields import FIELDS, GRADIENTS, INDEX, LABELS, NATIVE, STEP
from synth2obs.io.shard.layout import ERROR_SUFFIX, create, text_type


def write_shard(spectra: Spectra, path: str | Path) -> Path:
    """Write a table of spectra, atomically: a file appears only if the checker finds nothing wrong with it.

    Flux and inverse variance become float32.

    Args:
        spectra: The table.
        path: File to write, ``.h5``.

    Returns:
        The path.

    Raises:
        DataError: If the table breaks a rule of the format; no file is written.
        OutputError: If the file cannot be written.
    """
    path = Path(path)
    with atomic_path(path) as temporary:
        temporary.write_bytes(_image(spectra))
        refuse(check_shard(temporary), path)
    return path


def _image(spectra: Spectra) -> bytes:
    """The bytes of a shard. HDF5 itself does not survive a full disk, so it writes to memory."""
    # The layout of HDF5 1.10 has checksums in its own metadata, too.
    options = {"driver": "core", "backing_store": False, "libver": ("v110", "v110")}
    with h5py.File("shard.h5", "w", **options) as file:
        fill(file, spectra)
        file.flush()
        return bytes(file.id.get_file_image())


def fill(file: h5py.File, spectra: Spectra, *, without: Collection[str] = ()) -> None:
    """Write everything that a table has into an open, empty file.

    Args:
        file: The file.
        spectra: The table.
        without: Names of datasets that the caller writes.

    Raises:
        DataError: If a dataset would be empty, or a label or a fact has a name that no dataset can have.
    """
    _refuse_names(spectra)
    file.attrs.update(header(spectra))
    for field in FIELDS:
        values = field.of(spectra)
        if values is not None and field.name not in without:
            _dataset(file, field.name, values, field.dtype)
    file.create_group("labels", track_order=True)
    for name, column in label_columns(spectra).items():
        dataset = _dataset(file, f"labels/{name}", column, LABELS.dtype)
        dataset.attrs["unit"] = unit_of(name.removesuffix(ERROR_SUFFIX))
    for name, column in spectra.native.items():
        _dataset(file, f"native/{name}", column, None if column.dtype.kind == "U" else NATIVE.dtype)
    _gradients(file, spectra.gradients, spectra.labels)
    file["provenance"] = as_json(spectra.provenance)


def _refuse_names(spectra: Spectra) -> None:
    """Refuse what would become a group of HDF5, or a metric that no store takes."""
    gradients = {} if spectra.gradients is None else spectra.gradients.values
    for name in {**spectra.labels, **spectra.label_errors, **gradients}:
        if wrong := label_problem(name):
            raise DataError(f"{name!r} cannot name a label", field="labels", remedy=wrong)
    for name in spectra.native:
        if wrong := part_problem(name):
            raise DataError(f"{name!r} cannot name a fact", field="native", remedy=wrong)


def _gradients(file: h5py.File, gradients: Gradients | None, labels: Collection[str]) -> None:
    """Those of labels that the table has: whoever takes a label away means its gradients, too."""
    names = [] if gradients is None else [name for name in gradients.values if name in labels]
    if gradients is None or not len(gradients) or not names:
        return
    _dataset(file, f"{GRADIENTS}/{INDEX}", gradients.index, np.int32)
    for name in names:
        dataset = _dataset(file, f"{GRADIENTS}/{name}", gradients.values[name], np.float32)
        dataset.attrs[STEP] = gradients.steps[name]
        dataset.attrs["unit"] = f"1/({unit_of(name)})"


def header(spectra: Spectra) -> dict[str, str]:
    """Attributes of the file."""
    return {
        "format": SHARD_FORMAT,
        "domain": spectra.domain,
        "kind": spectra.kind,
        "medium": "vacuum",
        "frame": spectra.frame,
        "flux_kind": spectra.flux_kind,
        "air_formula": spectra.air_formula,
        "flag_names": json.dumps({str(bit): name for bit, name in spectra.flag_names.items()}),
    }


def label_columns(spectra: Spectra) -> dict[str, NDArray[Any]]:
    """Labels and their errors by the names of their datasets."""
    errors = {f"{name}{ERROR_SUFFIX}": column for name, column in spectra.label_errors.items()}
    return {**spectra.labels, **errors}


def as_json(provenance: Mapping[str, Any]) -> np.bytes_:
    """The provenance as it stands in the file."""
    return np.bytes_(json.dumps(dict(provenance), ensure_ascii=False, sort_keys=True).encode())


def _dataset(file: h5py.File, name: str, values: NDArray[Any], dtype: Any) -> h5py.Dataset:
    """A dataset of numbers, or of text without a type."""
    if dtype is None:
        values = np.char.encode(values, "utf-8", "backslashreplace")
        dtype = text_type(values.dtype.itemsize)
    # A value too large for float32 becomes infinite, which the checker then names.
    with np.errstate(over="ignore", invalid="ignore"):
        data = np.asarray(values).astype(dtype)
    if data.size == 0:
        raise DataError("is empty", field=name, remedy="give at least one spectrum of one pixel")
    return create(file, name, data.shape, dtype, data)
