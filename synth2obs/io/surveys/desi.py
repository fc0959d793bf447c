"""DESI: coadded spectra of a healpix pixel or tile (desispec coadd files; DESI Collaboration 2024, AJ 168, 58)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.io.surveys.desi_lsf import DIAGONALS, STEP, line_spread, responses
from synth2obs.io.surveys.fits_file import FitsFile, open_fits
from synth2obs.io.surveys.record import Record, mask
from synth2obs.io.surveys.survey import SurveyReader, Unit, Unwanted, choose

Array = NDArray[np.floating[Any]]

ARMS = {"B": (3600.0, 2751), "R": (5760.0, 2326), "Z": (7520.0, 2881)}
"""First wavelength in Å and pixels of each arm."""

NOMINAL = 0.75
"""σ in Å of an arm that was out of order: 1.8 Å FWHM (Guy et al. 2023)."""

RESTRICTED = 1 << 3
"""Bit of COADD_FIBERSTATUS of a positioner that moves less far than others, which does its spectra no harm."""

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


def read_desi(unit: Unit, options: DesiOptions) -> Iterator[Record | DataError]:
    """Every target of a coadd file: three arms, vacuum, barycentric, not corrected for the star's velocity.

    An arm whose camera was out of order has no images: there the inverse variance is 0. A target that would be wanted
    but whose fibre is marked is left out, which is said; a fibre that is only RESTRICTED is none of these.

    Raises:
        DataError: If an image is missing or of another shape, or wavelengths are not DESI's.
        Unwanted: If no target is asked for.
    """
    with open_fits(unit[0]) as file:
        table = file.table("FIBERMAP")
        wanted = np.nonzero(_wanted(table, options.targets))[0]
        images = {arm: _arm(file, arm, len(table)) for arm in _arms(file)}
        status = np.asarray(table["COADD_FIBERSTATUS"]).astype(np.int64)
        having = [int(row) for row in wanted if any((arm["IVAR"][row] > 0).any() for arm in images.values())]
        seen = [row for row in having if not status[row] & ~RESTRICTED]
        yield from (_marked(table[row], int(status[row]), file) for row in having if row not in seen)
        if not seen and not having:
            raise Unwanted(
                f"none of {len(table)} targets is wanted and has data",
                path=file.path,
                remedy="say targets=all to have every target that is no sky",
            )
        for row in seen:
            yield _record(table[row], images, row, options)


def _arms(file: FitsFile) -> list[str]:
    """Arms that the file has.

    Raises:
        DataError: If it has none.
    """
    found = [arm for arm in ARMS if any(name.startswith(f"{arm}_") for name in file.names)]
    if not found:
        remedy = "give coadd-… files, whose images are called B_FLUX, R_FLUX, Z_FLUX"
        raise DataError(f"has none of the arms {', '.join(ARMS)}", path=file.path, remedy=remedy)
    return found


def _marked(target: Any, status: int, file: FitsFile) -> Unwanted:
    """What is said of a target whose fibre is not to be trusted."""
    return Unwanted(
        f"target {target['TARGETID']} is left out: its fibre has COADD_FIBERSTATUS {status}",
        path=file.path,
        field="COADD_FIBERSTATUS",
    )


def _wanted(table: Any, targets: str) -> NDArray[np.bool_]:
    names = table.dtype.names
    wanted = np.char.strip(np.asarray(table["OBJTYPE"], dtype=str)) == "TGT"
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
            f"images of {arm} have shapes {shapes}", path=file.path, remedy="check that it is a DESI coadd"
        )
    return images


def _missing(arm: str) -> dict[str, Any]:
    """What stands for an arm that is not there: nothing was measured, at its usual wavelengths."""
    start, pixels = ARMS[arm]
    nothing = np.zeros(pixels)
    offset = STEP * (np.arange(DIAGONALS) - DIAGONALS // 2)
    response = np.exp(-0.5 * (offset / NOMINAL) ** 2)
    return {
        "WAVELENGTH": start + STEP * np.arange(pixels),
        "FLUX": nothing,
        "IVAR": nothing,
        "MASK": nothing.astype(np.uint32),
        "RESPONSE": np.tile(response / response.sum(), (pixels, 1)),
    }


def _of_target(images: dict[str, Any], row: int) -> dict[str, Any]:
    """What an arm has of one target."""
    own = {name: images[name][row] for name in ("FLUX", "IVAR", "MASK")}
    return {**own, "WAVELENGTH": images["WAVELENGTH"], "RESPONSE": responses(images["RESOLUTION"][row])}


def _record(target: Any, arms: dict[str, dict[str, Any]], row: int, options: DesiOptions) -> Record:
    parts = [_of_target(arms[arm], row) if arm in arms else _missing(arm) for arm in ARMS]
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    flux, ivar = mask(joined["FLUX"], joined["IVAR"], joined["MASK"] > 0)
    name = str(target["TARGETID"])
    return Record(
        id=name,
        wavelength=joined["WAVELENGTH"],
        segment=np.repeat(np.arange(3, dtype=np.int16), [pixels for _, pixels in ARMS.values()]),
        flux=flux,
        ivar=ivar,
        flags=joined["MASK"],
        line_spread=line_spread(joined["RESPONSE"], options.lsf),
        native={
            "object": name,
            "ra": float(target["TARGET_RA"]),
            "dec": float(target["TARGET_DEC"]),
            "arms": "".join(arms),
            "fiber_status": float(target["COADD_FIBERSTATUS"]),
        },
        frame="barycentric",
        flux_kind="absolute",
        air_formula="",
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
        "lsf": "rows of the resolution matrix, which acts on means over 0.8 Å; beside masked pixels, where rows lack "
        "some of their response, the nearest whole row. The pipeline makes the matrix for counts, here it is applied "
        "to flux: where the sensitivity changes within a response the two differ",
    },
)
