"""A row per star in Parquet, through pyarrow, which MLflow brings along."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.io.surveys.star_tables.contract import BLOCK, Block, unit_in_yaml


class ParquetTable:
    """Columns; those of lists have a spectrum in each cell.

    Args:
        path: The file.
        file: pyarrow's, open.
    """

    def __init__(self, path: Path, file: Any) -> None:
        self.path, self._file = path, file
        count = file.metadata.num_rows
        self.shapes: Mapping[str, tuple[int, ...]] = {
            field.name: (count, -1) if _is_list(field.type) else (count,) for field in file.schema_arrow
        }

    def whole(self, name: str) -> NDArray[Any]:
        """All of a column."""
        return np.asarray(_values(self._file.read(columns=[name]).column(0).combine_chunks()))

    def blocks(self, names: Sequence[str]) -> Iterator[Block]:
        """As `StarTable` says."""
        for batch in self._file.iter_batches(BLOCK, columns=list(names)):
            yield {name: _values(batch.column(name)) for name in names}

    def unit(self, name: str) -> str:
        """What the column's own metadata say, or astropy's description of the table."""
        schema = self._file.schema_arrow
        own = schema.field(name).metadata or {}
        said = next((own[key] for key in (b"unit", b"units") if key in own), b"").decode("utf-8", "replace")
        whole = (schema.metadata or {}).get(b"table_meta_yaml", b"").decode("utf-8", "replace")
        return said or unit_in_yaml(whole, name)


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _values(column: Any) -> Any:
    """Cells of a column; no spectrum where there is none, None where there is no value."""
    if not _is_list(column.type):
        return np.array(column.to_pylist(), dtype=object)
    return [
        np.array([], np.float64) if not one.is_valid else one.values.to_numpy(zero_copy_only=False)
        for one in column
    ]


@contextmanager
def open_parquet_table(path: Path, hdu: int | str) -> Iterator[ParquetTable]:
    """A Parquet file as a table of stars.

    Raises:
        DataError: If pyarrow is not installed.
    """
    try:
        from pyarrow import parquet
    except ImportError as error:
        remedy = "`pip install pyarrow`, or write the table as FITS or HDF5"
        raise DataError("is Parquet, which needs pyarrow", path=path, remedy=remedy) from error
    with parquet.ParquetFile(path) as file:
        yield ParquetTable(path, file)
