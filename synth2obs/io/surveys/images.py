"""One-dimensional FITS images with a linear wavelength axis, as older libraries publish their spectra."""

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]
AXIS_CARDS = ("CRVAL1", "CDELT1")
SHORTEST = 2000.0
"""Å; a file that starts below states another unit."""


@dataclass(frozen=True)
class LinearImage:
    """A native spectrum: its header, wavelengths as the file states them (Å) and flux, shape (P,) each."""

    path: Path
    header: Mapping[str, Any]
    wavelength: Array
    flux: Array


def read_linear_image(path: str | Path) -> LinearImage:
    """Read the primary image of a FITS file and the wavelengths of its header.

    Raises:
        DataError: If it is missing, not FITS, truncated, not one-dimensional, or lacks a wavelength card.
    """
    path = Path(path)
    header, data = _primary(path)
    if data is None or np.ndim(data) != 1:
        raise DataError(
            f"the primary image must have shape (pixels,), got {None if data is None else np.shape(data)}",
            path=path,
            field="NAXIS",
            remedy="give the library's one-dimensional spectra, one file a star",
        )
    start, step = (number_card(header, card, path) for card in AXIS_CARDS)
    first = header.get("CRPIX1", 1.0)
    if not (isinstance(first, (int, float)) and start >= SHORTEST and step > 0):
        raise DataError(
            f"CRVAL1 = {start}, CDELT1 = {step}, CRPIX1 = {first!r} are no increasing wavelengths in Å",
            path=path,
            field="CRVAL1",
            remedy="repair the header or leave the file out",
        )
    wavelength: Array = start + step * (np.arange(len(data), dtype=np.float64) + (1.0 - float(first)))
    return LinearImage(path, header, wavelength, np.asarray(data, dtype=np.float64))


def number_card(header: Mapping[str, Any], card: str, path: Path) -> float:
    """A header card that must hold a finite number.

    Raises:
        DataError: If it is missing or holds something else.
    """
    value = header.get(card)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not np.isfinite(value):
        state = "is missing" if value is None else f"must be a number, got {value!r}"
        raise DataError(
            f"header card {state}", path=path, field=card, remedy="repair the header or leave the file out"
        )
    return float(value)


def optional_number(value: Any) -> float:
    """A number that a header may leave blank, as text, or as ``-``: NaN when it is not one."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return float("nan")
    return number if np.isfinite(number) else float("nan")


def read_all(paths: Sequence[str | Path], progress: Progress | None = None) -> list[LinearImage]:
    """Read many images of the same length; ``progress`` is told how many of how many are read.

    Raises:
        DataError: If there is none, one cannot be read, or their lengths differ.
    """
    if not paths:
        raise DataError("no files given", remedy="name at least one FITS file")
    images = []
    for path in paths:
        images.append(read_linear_image(path))
        if progress is not None:
            progress(len(images), len(paths))
    for image in images[1:]:
        if len(image.flux) != len(images[0].flux):
            raise DataError(
                f"has {len(image.flux)} pixels, but {images[0].path.name} has {len(images[0].flux)}",
                path=image.path,
                field="NAXIS1",
                remedy="ingest files of one release at a time",
            )
    return images


def sources(paths: Sequence[str | Path]) -> dict[str, Any]:
    """Count and digest of native files: sha256 of the sorted lines ``sha256  name``."""
    lines = sorted(
        f"{hashlib.sha256(Path(path).read_bytes()).hexdigest()}  {Path(path).name}" for path in paths
    )
    return {"files": len(lines), "sha256_of_list": hashlib.sha256("\n".join(lines).encode()).hexdigest()}


def _primary(path: Path) -> tuple[dict[str, Any], Any]:
    from astropy.io import fits

    if not path.is_file():
        raise DataError("no such file", path=path, remedy="check the name")
    try:
        with _truncation_is_an_error(), fits.open(BytesIO(path.read_bytes())) as hdus:
            data = hdus[0].data
            return {card: _value(hdus[0].header, card) for card in hdus[0].header if card}, data
    except Exception as error:
        raise DataError(
            f"cannot be read as FITS ({type(error).__name__}: {error})",
            path=path,
            remedy="download or copy the file again",
        ) from error


def _value(header: Any, card: str) -> Any:
    try:
        return header[card]
    except Exception:
        return None


@contextmanager
def _truncation_is_an_error() -> Iterator[None]:
    """Old cards that break the FITS standard are harmless; astropy only warns of a truncated file."""
    from astropy.io.fits.verify import VerifyWarning
    from astropy.utils.exceptions import AstropyUserWarning

    with warnings.catch_warnings():
        warnings.simplefilter("error", AstropyUserWarning)
        warnings.simplefilter("ignore", VerifyWarning)
        yield
