"""DESI: coadded spectra of a healpix pixel or tile (desispec coadd files; DESI Collaboration 2024, AJ 168, 58)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.line_spread import LineSpread
from synth2obs.io.surveys.fits_file import FitsFile, open_fits
from synth2obs.io.surveys.record import Record, mask
from synth2obs.io.surveys.survey import SurveyReader, Unit, Unwanted, choose

Array = NDArray[np.floating[Any]]

ARMS = {"B": (3600.0, 2751), "R": (5760.0, 2326), "Z": (7520.0, 2881)}
"""First wavelength in Å and pixels of each arm."""

STEP = 0.8
DIAGONALS = 11
NAMES = {
    0: "SOMEBADPIX", 1: "ALLBADPIX", 2: "COSMIC", 3: "LOWFLAT", 4: "BADFIBERFLAT", 5: "BRIGHTSKY", 6: "BADSKY",
    7: "BAD2DFIT",
} | {bit: f"BIT_{bit}" for bit in range(8, 32)}  # fmt: skip
"""The specmask of desispec as it was published first; later bits go by number."""


@dataclass(frozen=True, kw_only=True)
class DesiOptions:
    """What to read of a coadd file.

    Args:
        targets: ``stars`` (targets of the Milky Way survey) or ``all`` that are no sky and have data.
        lsf: ``kernel`` (the resolution matrix) or ``gaussian`` (its second moment).
    """

    targets: str = "stars"
    lsf: str = "kernel"

    def __post_init__(self) -> None:
        choose("targets", self.targets, ("stars", "all"))
        choose("lsf", self.lsf, ("kernel", "gaussian"))


def read_desi(unit: Unit, options: DesiOptions) -> Iterator[Record]:
    """Every target of a coadd file: three arms, vacuum, barycentric, not corrected for the star's velocity.

    Raises:
        DataError: If an image is missing or of another shape, or wavelengths are not DESI's.
        Unwanted: If no target is asked for.
    """
    with open_fits(unit[0]) as file:
        table = file.table("FIBERMAP")
        chosen = np.nonzero(_chosen(table, options.targets))[0]
        images = {arm: _arm(file, arm, len(table)) for arm in ARMS}
        seen = [row for row in chosen if any((images[arm]["IVAR"][row] > 0).any() for arm in ARMS)]
        if not seen:
            raise Unwanted(
                f"none of {len(table)} targets is wanted and has data",
                path=file.path,
                remedy="say targets=all to have every target that is no sky",
            )
        for row in seen:
            yield _record(table[row], images, int(row), options)


def _chosen(table: Any, targets: str) -> NDArray[np.bool_]:
    names = table.dtype.names
    wanted = np.char.strip(np.asarray(table["OBJTYPE"], dtype=str)) == "TGT"
    wanted &= np.asarray(table["COADD_FIBERSTATUS"]) == 0
    if targets == "all":
        return np.asarray(wanted)
    marks = [np.asarray(table[name]) != 0 for name in names if name.endswith("MWS_TARGET")]
    return np.asarray(wanted & np.any(marks, axis=0) if marks else np.zeros(len(table), bool))


def _arm(file: FitsFile, arm: str, targets: int) -> dict[str, Any]:
    """Images of an arm, checked against each other."""
    start, pixels = ARMS[arm]
    wavelength = file.image(f"{arm}_WAVELENGTH", 1)
    if len(wavelength) != pixels or np.abs(wavelength - start - STEP * np.arange(pixels)).max() > 1e-3:
        raise DataError(
            f"must be {pixels} pixels of {STEP} Å from {start:.0f} Å",
            path=file.path,
            field=f"{arm}_WAVELENGTH",
            remedy="check that it is a DESI coadd",
        )
    images: dict[str, Any] = {
        "WAVELENGTH": wavelength,
        "FLUX": file.image(f"{arm}_FLUX", 2),
        "IVAR": file.image(f"{arm}_IVAR", 2),
        "MASK": file.bits(f"{arm}_MASK", 2),
        "RESOLUTION": file.image(f"{arm}_RESOLUTION", 3),
    }
    shapes = {name: images[name].shape for name in ("FLUX", "IVAR", "MASK", "RESOLUTION")}
    expected = dict.fromkeys(("FLUX", "IVAR", "MASK"), (targets, pixels))
    if shapes != expected | {"RESOLUTION": (targets, DIAGONALS, pixels)}:
        raise DataError(
            f"images of {arm} have shapes {shapes}", path=file.path, remedy="download the file again"
        )
    return images


def _record(target: Any, arms: dict[str, dict[str, Any]], row: int, options: DesiOptions) -> Record:
    joined = {
        name: np.concatenate([arm[name][row] for arm in arms.values()]) for name in ("FLUX", "IVAR", "MASK")
    }
    flux, ivar = mask(joined["FLUX"], joined["IVAR"], joined["MASK"] > 0)
    kernel = np.concatenate([responses(arm["RESOLUTION"][row]) for arm in arms.values()])
    name = str(target["TARGETID"])
    return Record(
        id=name,
        wavelength=np.concatenate([arm["WAVELENGTH"] for arm in arms.values()]),
        segment=np.repeat(np.arange(3, dtype=np.int16), [pixels for _, pixels in ARMS.values()]),
        flux=flux,
        ivar=ivar,
        flags=joined["MASK"],
        line_spread=_line_spread(kernel, options.lsf),
        native={
            "object": name,
            "ra": float(target["TARGET_RA"]),
            "dec": float(target["TARGET_DEC"]),
        },
        frame="barycentric",
        flux_kind="absolute",
        air_formula="",
    )


def responses(diagonals: Array) -> Array:
    """Response of each pixel to light at offsets of -5 to 5 samples, from the stored diagonals.

    Entry (k, j) of the stored matrix is row j - (5 - k), column j: what the pixel there sees of sample j.
    A pixel without a response has its nearest neighbour's.

    Args:
        diagonals: Shape (11, P).

    Returns:
        Shape (P, 11).
    """
    pixels, half = diagonals.shape[1], DIAGONALS // 2
    result = np.zeros((pixels, DIAGONALS))
    for entry, offset in enumerate(range(-half, half + 1)):
        column = np.arange(pixels) + offset
        inside = (column >= 0) & (column < pixels)
        result[inside, entry] = diagonals[half - offset, column[inside]]
    good = np.nonzero(np.isfinite(result).all(axis=1) & (result.sum(axis=1) > 0.5))[0]
    if not len(good):
        return np.tile((np.arange(DIAGONALS) == half).astype(float), (pixels, 1))
    after = np.searchsorted(good, np.arange(pixels)).clip(1, max(len(good) - 1, 1))
    before, after = good[after - 1], good[after.clip(0, len(good) - 1)]
    closer = np.abs(np.arange(pixels) - before) <= np.abs(np.arange(pixels) - after)
    return result[np.where(closer, before, after)]


def _line_spread(kernel: Array, form: str) -> LineSpread:
    """σ without the pixel, and the table: sharpened, because it will be read as linear between its entries.

    The matrix acts on means over samples of 0.8 Å, a box of variance h²/12; linear interpolation adds h²/6.
    Taking away 1/24 of the second difference takes h²/12 from the variance.
    """
    offset = STEP * (np.arange(DIAGONALS) - DIAGONALS // 2)
    weight = kernel / kernel.sum(axis=1, keepdims=True)
    mean = weight @ offset
    variance = (weight * (offset - mean[:, None]) ** 2).sum(axis=1)
    sigma = np.sqrt(np.maximum(variance, (0.3 * STEP) ** 2))
    if form == "gaussian":
        return LineSpread.single(sigma)
    wide = np.pad(kernel, ((0, 0), (2, 2)))
    second = wide[:, 2:] - 2.0 * wide[:, 1:-1] + wide[:, :-2]
    return LineSpread.single(
        sigma,
        kernel=wide[:, 1:-1] - second / 24.0,
        offset=STEP * (np.arange(DIAGONALS + 2) - (DIAGONALS + 2) // 2),
    )


DESI = SurveyReader(
    name="desi",
    read=read_desi,
    options=DesiOptions,
    flag_names=NAMES,
    same_pixels=True,
    experimental=True,
    about={
        "title": "DESI coadded spectra",
        "citation": ["DESI Collaboration et al. 2024, AJ 168, 58", "Guy et al. 2023, AJ 165, 144"],
        "wavelength": "vacuum, barycentric as the release documents; files say only Angstrom",
        "flux": "1e-17 erg/s/cm2/Å",
        "mask": "ivar = 0 where it is so in the file or MASK is set",
        "lsf": "rows of the resolution matrix, which acts on means over 0.8 Å",
    },
)
