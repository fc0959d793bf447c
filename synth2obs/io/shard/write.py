"""Write shards: spectra of one domain in one HDF5 file. The format is described in docs/data_format.md."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from synth2obs.core.constants import SHARD_FORMAT
from synth2obs.core.errors import DataError
from synth2obs.core.files import atomic_path
from synth2obs.core.labels import unit_of
from synth2obs.core.spectra import Spectra
from synth2obs.io.shard.check import check_shard, refuse
from synth2obs.io.shard.layout import (
    CHUNK_ROWS,
    COLUMN_ROWS,
    COLUMNS,
    COMPRESSION,
    ERROR_SUFFIX,
    LSF_FIELDS,
)


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
        _write(file, spectra)
        file.flush()
        return bytes(file.id.get_file_image())


def _write(file: h5py.File, spectra: Spectra) -> None:
    file.attrs.update(
        {
            "format": SHARD_FORMAT,
            "domain": spectra.domain,
            "kind": spectra.kind,
            "medium": "vacuum",
            "frame": spectra.frame,
            "flux_kind": spectra.flux_kind,
            "air_formula": spectra.air_formula,
            "flag_names": json.dumps({str(bit): name for bit, name in spectra.flag_names.items()}),
        }
    )
    _dataset(file, "wavelength", spectra.wavelength, np.float64)
    _dataset(file, "segment", spectra.segment, np.int16)
    _dataset(file, "flux", spectra.flux, np.float32)
    if spectra.ivar is not None:
        _dataset(file, "ivar", spectra.ivar, np.float32)
    if spectra.flags is not None:
        _dataset(file, "flags", spectra.flags, np.uint32)
    _text(file, "id", spectra.id)
    for name in COLUMNS:
        _dataset(file, name, getattr(spectra, name), np.float64)
    _dataset(file, "lsf/sigma", spectra.line_spread.sigma, np.float64)
    _dataset(file, "lsf/group", spectra.line_spread.group, np.int32)
    for name, field in LSF_FIELDS.items():
        if getattr(spectra.line_spread, field) is not None:
            _dataset(
                file,
                name,
                getattr(spectra.line_spread, field),
                np.float64 if name == "lsf/offset" else np.float32,
            )
    errors = {f"{name}{ERROR_SUFFIX}": column for name, column in spectra.label_errors.items()}
    file.create_group("labels", track_order=True)
    for name, column in {**spectra.labels, **errors}.items():
        dataset = _dataset(file, f"labels/{name}", column, np.float64)
        dataset.attrs["unit"] = unit_of(name.removesuffix(ERROR_SUFFIX))
    for name, column in spectra.native.items():
        if column.dtype.kind == "U":
            _text(file, f"native/{name}", column)
        else:
            _dataset(file, f"native/{name}", column, np.float64)
    file["provenance"] = np.bytes_(
        json.dumps(spectra.provenance, ensure_ascii=False, sort_keys=True).encode()
    )


def _text(file: h5py.File, name: str, column: NDArray[Any]) -> h5py.Dataset:
    encoded = np.char.encode(column, "utf-8")
    return _dataset(file, name, encoded, h5py.string_dtype("utf-8", max(encoded.dtype.itemsize, 1)))


def _dataset(file: h5py.File, name: str, values: NDArray[Any], dtype: Any) -> h5py.Dataset:
    # A value too large for float32 becomes infinite, which the checker then names.
    with np.errstate(over="ignore", invalid="ignore"):
        data = np.asarray(values).astype(dtype)
    if data.size == 0:
        raise DataError("is empty", field=name, remedy="give at least one spectrum of one pixel")
    longest = {1: COLUMN_ROWS, 2: CHUNK_ROWS}.get(data.ndim, 1)
    chunks = (min(longest, data.shape[0]), *data.shape[1:])
    return file.create_dataset(name, data=data, chunks=chunks, fletcher32=True, **COMPRESSION)
