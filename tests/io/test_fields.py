"""The table of the format: what the document says is what is written, and its bytes stay as they are."""

import hashlib
from importlib.metadata import version
from pathlib import Path

import h5py
import numpy as np
import pytest

from synth2obs.io.shard.fields import (
    ALWAYS,
    FIELDS,
    GROUPS,
    LABEL_ERRORS,
    LABELS,
    NATIVE,
    OFFSETS,
    OPTIONAL,
    ORDERS,
    PIXELS,
    STARS,
    SURVEY,
    Field,
)
from synth2obs.io.shard.write import write_shard

DOCUMENT = Path(__file__).parents[2] / "docs" / "data_format.md"
LETTERS = {STARS: "N", PIXELS: "P", GROUPS: "G", ORDERS: "M", OFFSETS: "T"}
NEEDS = {ALWAYS: "", SURVEY: ", surveys only", OPTIONAL: ", optional"}

WRITTEN_WITH = {"h5py": "3.16.0", "hdf5plugin": "7.1.0"}
DIGESTS = {
    "spectra": "33f7a3be01cfc0dfd18ce3609d8b682c28d6255dc3fbce727cba95b5ce817ce5",
    "own_pixels": "f7c04d9aa60514fa9678faf83328114546724d8aa4e55a5bc009c49453f2e3c7",
    "tabulated": "87917ceb2c28ac1c0d4928aa2e60b70b224af0bf25bd0c713ce3eba146c936e0",
    "grid_table": "45922ca55aaa2f77957f28f5064c69527bd40bf96ce03fdd317be3807e8101dc",
}


def row(field: Field) -> str:
    """A field as a row of the document's table."""
    shapes = " or ".join(
        f"({LETTERS[shape[0]]},)" if len(shape) == 1 else f"({', '.join(map(LETTERS.get, shape))})"
        for shape in field.shapes
    )
    code = "UTF-8" if field.dtype is None else np.dtype(field.dtype).str[1:]
    return f"| `{field.name}` | {shapes} {code}{NEEDS[field.need]} | {field.unit or '–'} | {field.meaning} |"


def test_the_document_has_the_table():
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    rows = [row(field) for field in (*FIELDS, LABELS, LABEL_ERRORS, NATIVE)]
    first = lines.index(rows[0])
    assert lines[first : first + len(rows)] == rows


@pytest.mark.parametrize("name", ["spectra", "own_pixels", "tabulated", "grid_table"])
def test_a_file_has_what_the_table_says(name, request, tmp_path):
    spectra = request.getfixturevalue(name)
    with h5py.File(write_shard(spectra, tmp_path / "a.h5")) as file:
        found = [field for field in FIELDS if field.name in file]
        assert {field.name for field in FIELDS if field.need == ALWAYS} <= {field.name for field in found}
        for field in found:
            dataset, values = file[field.name], field.of(spectra)
            assert dataset.shape == values.shape and len(field.axes(dataset.ndim)) == dataset.ndim
            assert field.dtype is None or dataset.dtype == field.dtype


@pytest.mark.parametrize("name", DIGESTS)
def test_bytes_stay_as_they_are(name, request, tmp_path):
    if any(version(package) != number for package, number in WRITTEN_WITH.items()):
        pytest.skip(f"the digests are those of {WRITTEN_WITH}")
    content = write_shard(request.getfixturevalue(name), tmp_path / "a.h5").read_bytes()
    assert hashlib.sha256(content).hexdigest() == DIGESTS[name]
