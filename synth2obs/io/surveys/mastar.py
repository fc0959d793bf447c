"""MaStar: the MaNGA stellar library (Yan et al. 2019, ApJ 883, 175)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.line_spread import LineSpread
from synth2obs.io.surveys.cards import optional_number
from synth2obs.io.surveys.fits_file import as_bits, floating, open_fits
from synth2obs.io.surveys.record import Record, mask
from synth2obs.io.surveys.survey import SurveyReader, Unit, choose

Array = NDArray[np.floating[Any]]

NEEDED = ("WAVE", "FLUX", "IVAR", "PREDISP", "MASK")
NAMES = {
    0: "NOPLUG", 1: "BADTRACE", 2: "BADFLAT", 3: "BADARC", 4: "MANYBADCOLUMNS", 5: "MANYREJECTED", 6: "LARGESHIFT",
    7: "BADSKYFIBER", 16: "NEARBADPIXEL", 17: "LOWFLAT", 18: "FULLREJECT", 19: "PARTIALREJECT",
    20: "SCATTEREDLIGHT", 21: "CROSSTALK", 22: "NOSKY", 23: "BRIGHTSKY", 24: "NODATA", 25: "COMBINEREJ",
    26: "BADFLUXFACTOR", 27: "BADSKYCHI", 28: "REDMONSTER",
}  # fmt: skip
FLAGS = {bit: NAMES.get(bit, f"BIT_{bit}") for bit in range(32)}
"""The spectrum PIXMASK of SDSS; bits that MaNGA added go by number."""


@dataclass(frozen=True, kw_only=True)
class MastarOptions:
    """What files do not say.

    Args:
        frame: ``barycentric`` or ``rest``: whether the spectra of this release are shifted to rest.
    """

    frame: str

    def __post_init__(self) -> None:
        choose("frame", self.frame, ("rest", "barycentric"))


def read_mastar(unit: Unit, options: MastarOptions) -> Iterator[Record]:
    """Every row of the first table that has spectra: one star and visit each, vacuum wavelengths.

    Raises:
        DataError: If no table has wavelength, flux, inverse variance, width and mask.
    """
    with open_fits(unit[0]) as file:
        for number in range(1, len(file)):
            names = getattr(file.hdus[number].data, "names", None) or []
            if set(NEEDED) <= set(names):
                yield from (_record(row, names, options, file.path) for row in file.table(number))
                return
        raise DataError(
            f"has no table with {', '.join(NEEDED)}",
            path=file.path,
            remedy="give MaStar spectra, e.g. mastar-LOG-…",
        )


def _record(row: Any, names: list[str], options: MastarOptions, path: Any) -> Record:
    def number(name: str) -> float:
        return optional_number(row[name]) if name in names else float("nan")

    visit = "-".join(str(row[name]).strip() for name in ("PLATE", "IFUDESIGN", "MJD") if name in names)
    star = str(row["MANGAID"]).strip() if "MANGAID" in names else visit
    bits = as_bits(row["MASK"], path, "MASK")
    wave, raw, weight, width = (floating(row[name], path, name) for name in NEEDED[:4])
    flux, ivar = mask(raw, weight)
    speed = number("HELIOV") if number("V_ERRCODE") == 0 else float("nan")
    return Record(
        id=f"{star}/{visit}" if star != visit else visit,
        wavelength=wave,
        segment=np.zeros(len(flux), np.int16),
        flux=flux,
        ivar=ivar,
        flags=bits,
        line_spread=LineSpread.single(_filled(width)),
        rv=0.0 if options.frame == "rest" else speed,
        native={"object": star, "rv": speed, "mjd": number("MJD"), "plate": number("PLATE")},
        frame=options.frame,
        flux_kind="absolute",
        air_formula="",
    )


def _filled(sigma: Array) -> Array:
    """Widths with those that are not positive interpolated from their neighbours; as they are if none is."""
    good = np.isfinite(sigma) & (sigma > 0)
    if not good.any():
        return sigma
    pixel = np.arange(len(sigma))
    return np.interp(pixel, pixel[good], sigma[good])


MASTAR = SurveyReader(
    name="mastar",
    read=read_mastar,
    options=MastarOptions,
    flag_names=FLAGS,
    same_pixels=True,
    experimental=True,
    about={
        "title": "MaNGA stellar library",
        "citation": ["Yan et al. 2019, ApJ 883, 175"],
        "wavelength": "vacuum as the release documents; the frame is the user's word",
        "flux": "1e-17 erg/s/cm2/Å",
        "mask": "ivar = 0 where it is so in the file",
        "lsf": "Gaussian of PREDISP: σ in Å before the pixel",
    },
)
