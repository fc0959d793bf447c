"""Tables with a row per star, whatever file they stand in, read in blocks of rows."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from synth2obs.core.errors import DataError
from synth2obs.core.unpacked import GZIP, first_bytes
from synth2obs.io.surveys.fits_file import refuse_unreadable
from synth2obs.io.surveys.star_tables.contract import StarTable
from synth2obs.io.surveys.star_tables.fits import open_fits_table
from synth2obs.io.surveys.star_tables.hdf5 import open_hdf5_table
from synth2obs.io.surveys.star_tables.parquet import open_parquet_table

Opener = Callable[[Path, int | str], AbstractContextManager[StarTable]]

STARTS: dict[bytes, Opener] = {
    b"SIMPLE  =": open_fits_table,
    b"\x89HDF\r\n\x1a\n": open_hdf5_table,
    b"PAR1": open_parquet_table,
}
"""By the first bytes of a file, whatever it is called."""


@contextmanager
def open_star_table(path: Path, hdu: int | str) -> Iterator[StarTable]:
    """A FITS, HDF5 or Parquet file with a row per star; what goes wrong inside the block is a DataError about it.

    Args:
        path: The file.
        hdu: Of the table in FITS: number or name; in HDF5 a group or dataset of records, if it is text.

    Raises:
        DataError: If the file is missing, of another format, damaged, or lacks what the block asks for.
    """
    refuse_unreadable(path)
    start = first_bytes(path)
    opener = next((one for first, one in STARTS.items() if start.startswith(first)), None)
    if opener is None:
        remedy = 'give a table with a row per star, or leave rows = "stars" out for files of one star'
        raise DataError("is neither FITS, HDF5 nor Parquet", path=path, remedy=remedy)
    if opener is not open_fits_table and first_bytes(path, packed=True).startswith(GZIP):
        raise DataError("is gzipped, which only FITS may be here", path=path, remedy="unpack it")
    try:
        with opener(path, hdu) as table:
            yield table
    except DataError:
        raise
    except Exception as error:
        found = f"cannot be read as a table ({type(error).__name__}: {error})"
        raise DataError(found, path=path, remedy="copy or write the file again") from error
