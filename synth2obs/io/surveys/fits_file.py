"""FITS files of surveys: read whole, and whatever is wrong with one is a DataError that names the file and the card."""

import mmap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.unpacked import GZIP, read_unpacked
from synth2obs.io.surveys.cards import Cards
from synth2obs.io.surveys.fits_blocks import AGAIN, hdus_of, refuse_wrong_sums, whole_blocks

Array = NDArray[np.float64]

HARMLESS = (
    "non-ASCII characters",
    "Unexpected (bytes|extra padding)",
    "Missing padding",
    "Header block contains null bytes",
    "The following header keyword is invalid",
    ".*contains NULL",
)
"""How astropy's warnings of flaws begin that leave the data as they are: `fits_blocks` has refused what does not."""

CHECK = "check that it is such a file"


@dataclass(frozen=True)
class FitsFile:
    """An open FITS file.

    Args:
        path: Where it is.
        hdus: astropy's list.
    """

    path: Path
    hdus: Any

    def __len__(self) -> int:
        """Number of HDUs; to count them all are read."""
        return len(self.hdus)

    def has(self, hdu: int) -> bool:
        """Whether there is an HDU of that number; none beyond it is read."""
        try:
            self.hdus[hdu]
        except IndexError:
            return False
        return True

    @property
    def names(self) -> list[str]:
        """Upper-case names of the HDUs."""
        return [str(hdu.name).upper() for hdu in self.hdus]

    def cards(self, hdu: int | str = 0) -> Cards:
        """Header of an HDU, by number or name."""
        return Cards(self.hdus[hdu].header, self.path)

    def image(self, hdu: int | str, dimensions: int) -> Array:
        """Image of floating-point numbers in an HDU, as float64.

        Raises:
            DataError: If there is none, it has another number of dimensions, or it holds something else.
        """
        return floating(self._image(hdu, dimensions), self.path, f"HDU {hdu}")

    def numbers(self, hdu: int | str, dimensions: int) -> Array:
        """Image of an HDU as float64, whatever numbers it holds.

        Raises:
            DataError: If there is none, or it has another number of dimensions.
        """
        return np.ascontiguousarray(self._image(hdu, dimensions), dtype=np.float64)

    def bits(self, hdu: int | str, dimensions: int) -> NDArray[np.uint32]:
        """Image of an HDU as 32 mask bits.

        Raises:
            DataError: If it is no image of integers, or a bit beyond the 32nd is set.
        """
        return as_bits(self._image(hdu, dimensions), self.path, f"HDU {hdu}")

    def table(self, hdu: int | str) -> Any:
        """Table of an HDU.

        Raises:
            DataError: If there is none.
        """
        data = self.hdus[hdu].data if self._has(hdu) else None
        if data is None or data.dtype.names is None:
            raise DataError("is no table", path=self.path, field=f"HDU {hdu}", remedy=CHECK)
        return data

    def _image(self, hdu: int | str, dimensions: int) -> Any:
        data = self.hdus[hdu].data if self._has(hdu) else None
        if data is None or data.dtype.names is not None or data.ndim != dimensions:
            found = "there is none" if data is None else f"got shape {data.shape}"
            raise DataError(
                f"must be an image of {dimensions} dimension{'s' if dimensions > 1 else ''}, {found}",
                path=self.path,
                field=f"HDU {hdu}, NAXIS",
                remedy=CHECK,
            )
        return data

    def _has(self, hdu: int | str) -> bool:
        return self.has(hdu) if isinstance(hdu, int) else hdu.upper() in self.names


def floating(values: Any, path: Path, field: str) -> Array:
    """Floating-point numbers as float64; surveys store flux in no other way, so that anything else is damage.

    Raises:
        DataError: If they are of another type.
    """
    array = np.asarray(values)
    if array.dtype.kind != "f":
        raise DataError(f"holds {array.dtype.name}, not floats", path=path, field=field, remedy=CHECK)
    return np.ascontiguousarray(array, dtype=np.float64)


def as_bits(values: Any, path: Path, field: str) -> NDArray[np.uint32]:
    """Mask values as 32 bits; a negative 16-bit value is its own highest bit.

    Raises:
        DataError: If they are no whole numbers, or a bit beyond the 32nd is set.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise DataError(f"mask holds {array.dtype.name}", path=path, field=field, remedy=CHECK)
    if array.dtype.itemsize <= 4:
        unsigned = array.astype(array.dtype.newbyteorder("=")).view(f"u{array.dtype.itemsize}")
        return unsigned.astype(np.uint32)
    if array.size and not 0 <= array.min() <= array.max() < 2**32:
        found = f"{array.min()} to {array.max()}"
        raise DataError(f"mask runs from {found}, not 32 bits", path=path, field=field, remedy=CHECK)
    return array.astype(np.uint32)


@contextmanager
def open_fits(path: str | Path) -> Iterator[FitsFile]:
    """Open a FITS file, gzipped or not; whatever goes wrong inside the block is a DataError about this file.

    Checksums are verified where the file has them. Flaws that leave the data whole are none: accents in cards, cards
    that break the standard, anything behind the last HDU, a last block that is not filled up.

    Raises:
        DataError: If it is missing, a folder, empty, no FITS, truncated, damaged, or lacks what the block asks for.
    """
    path = Path(path)
    content = read_bytes(path)
    try:
        hdus = hdus_of(content, path)
        refuse_wrong_sums(content, hdus, path)
        with strict(), BytesIO(whole_blocks(content, hdus)) as stream, _open(stream) as opened:
            yield FitsFile(path, opened)
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"cannot be read as FITS ({type(error).__name__}: {error})", path=path, remedy=CHECK
        ) from error


@contextmanager
def open_mapped(path: Path, *, verify: bool = True) -> Iterator[Any]:
    """HDUs of a FITS file of which only what is asked for is read; a gzipped one is unpacked in memory.

    Args:
        path: The file.
        verify: Verify checksums where the file has them, for which all of it is read once.

    Raises:
        DataError: As `open_fits`; other exceptions of the block pass.
    """
    from astropy.io import fits

    refuse_unreadable(path)
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        packed = mapped[: len(GZIP)] == GZIP
        hdus = [] if packed else hdus_of(mapped, path)
        if verify:
            refuse_wrong_sums(mapped, hdus, path)
        plain = bool(hdus) and hdus[-1].padded == len(mapped)
    if not plain:
        with open_fits(path) as file:
            yield file.hdus
        return
    with strict(), fits.open(path, memmap=True) as opened:
        yield opened


def read_bytes(path: Path) -> bytes:
    """All bytes of a file, unpacked if it is gzipped.

    Raises:
        DataError: If it is missing, a folder, unreadable, empty, or unpacks to too much.
    """
    refuse_unreadable(path)
    return read_unpacked(path)


def refuse_unreadable(path: Path) -> None:
    """Refuse what holds no bytes.

    Raises:
        DataError: If it is missing, a folder or empty.
    """
    if path.is_dir():
        raise DataError("is a folder", path=path, remedy="name the files in it")
    if not path.is_file():
        raise DataError("no such file", path=path, remedy="check the name")
    if not path.stat().st_size:
        raise DataError("is empty, no FITS", path=path, remedy=AGAIN)


def _open(stream: BytesIO) -> Any:
    """HDUs as astropy has them; only what is asked for is read."""
    from astropy.io import fits

    return fits.open(stream)


@contextmanager
def strict() -> Iterator[None]:
    """Every warning of astropy's is an error, but for flaws that leave the data as they are."""
    from astropy.io.fits.verify import VerifyWarning
    from astropy.utils.exceptions import AstropyUserWarning

    with warnings.catch_warnings():
        warnings.simplefilter("error", AstropyUserWarning)
        warnings.simplefilter("ignore", VerifyWarning)
        for message in HARMLESS:
            warnings.filterwarnings("ignore", message, AstropyUserWarning)
        yield
