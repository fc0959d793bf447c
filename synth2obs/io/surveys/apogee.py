"""APOGEE: apStar, aspcapStar and apVisit files of DR13 to DR17 (Holtzman et al. 2015, AJ 150, 148)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from synth2obs.core.errors import DataError
from synth2obs.io.surveys.apogee_combined import BAD, PIXELS, aspcap_record, star_records
from synth2obs.io.surveys.apogee_tables import read_allstar
from synth2obs.io.surveys.apogee_visit import VISIT_PIXELS, visit_record
from synth2obs.io.surveys.fits_file import open_fits
from synth2obs.io.surveys.record import Record
from synth2obs.io.surveys.survey import SurveyReader, Unit, check_resolution, choose

NAMES = {
    0: "BADPIX", 1: "CRPIX", 2: "SATPIX", 3: "UNFIXABLE", 4: "BADDARK", 5: "BADFLAT", 6: "BADERR", 7: "NOSKY",
    8: "LITTROW_GHOST", 9: "PERSIST_HIGH", 10: "PERSIST_MED", 11: "PERSIST_LOW", 12: "SIG_SKYLINE",
    13: "SIG_TELLURIC", 14: "NOT_ENOUGH_PSF",
}  # fmt: skip
"""APOGEE_PIXMASK, as in the pipeline's own table (apogee_drp, bitmask.PixelBitMask)."""

ROWS = ("combined", "weighted", "visits")
LSFS = ("auto", "hermite", "kernel")


@dataclass(frozen=True, kw_only=True)
class ApogeeOptions:
    """What to read of an APOGEE file.

    Args:
        spectra: ``combined`` (pixel weights), ``weighted`` (one weight a visit) or ``visits``, of an apStar file.
        lsf: ``hermite``, ``kernel`` (with wings; 7 MB for an apVisit spectrum) or ``auto``: Hermite terms for
            combined spectra, whose wings hold 1 %, and kernels for apVisit, where they hold 2 to 35 %.
        resolving_power: λ / FWHM of a Gaussian, instead of what the files say.
    """

    spectra: str = "combined"
    lsf: str = "auto"
    resolving_power: float | None = None

    def __post_init__(self) -> None:
        choose("spectra", self.spectra, ROWS)
        choose("lsf", self.lsf, LSFS)
        check_resolution(self.resolving_power)


def read_apogee(unit: Unit, options: ApogeeOptions) -> Iterator[Record]:
    """Spectra of one APOGEE file; the kind of file is told from what is in it.

    apStar and aspcapStar are in the rest frame, with ``rv = 0`` and the published velocity in ``native``;
    apVisit becomes barycentric by its BC card. All wavelengths are vacuum.

    Raises:
        DataError: If the file is none of the three, or contradicts itself.
    """
    with open_fits(unit[0]) as file:
        shape = np.shape(file.hdus[1].data) if file.has(4) else ()
        if shape == (3, VISIT_PIXELS):
            yield visit_record(file, options.lsf, options.resolving_power, BAD)
        elif shape == (PIXELS,) and getattr(file.hdus[4].data, "names", None):
            yield aspcap_record(file, options)
        elif shape[-1:] == (PIXELS,) and len(shape) in (1, 2):
            yield from star_records(file, options)
        else:
            raise DataError(
                f"is no apStar, aspcapStar or apVisit file: its second HDU has shape {shape}",
                path=file.path,
                remedy="check the survey's name and the file",
            )


APOGEE = SurveyReader(
    name="apogee",
    read=read_apogee,
    options=ApogeeOptions,
    parameters=read_allstar,
    flag_names=NAMES,
    about={
        "title": "APOGEE (SDSS-III and SDSS-IV)",
        "citation": ["Majewski et al. 2017, AJ 154, 94", "Nidever et al. 2015, AJ 150, 173"],
        "wavelength": "vacuum; apStar and aspcapStar in the rest frame, apVisit made barycentric by its BC card",
        "mask": f"ivar = 0 where PIXMASK has a bit of {BAD:#x}, flux is no number, or the error is not in 0 to 1e9",
        "lsf": "Gauss-Hermite by the coefficients in the file (wing left out), or nominal for the fibre",
    },
)
