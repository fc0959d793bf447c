"""APOGEE's combined spectra: apStar and aspcapStar files, all on one grid in the rest frame."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError
from synth2obs.core.line_spread import LineSpread
from synth2obs.io.surveys import apogee_lsf
from synth2obs.io.surveys.apogee_tables import Facts, aspcap_labels
from synth2obs.io.surveys.fits_file import FitsFile
from synth2obs.io.surveys.record import Record, constant_resolution, weigh

Array = NDArray[np.floating[Any]]

PIXELS = 8575
START, STEP = 4.179, 6e-6
"""log10 of the first wavelength in Å, and of the ratio of two: the grid of every apStar and aspcapStar file."""

GREEN, RED = 3430, 6210
"""First pixels of the middle and the red detector, in the middle of the gaps."""

BAD = 0x40FF
"""Bits that make a pixel bad: 0 to 7 and 14 of the PIXMASK, as in the pipeline's own table."""


class CombinedOptions(Protocol):
    """What of `apogee.ApogeeOptions` is asked for here."""

    @property
    def spectra(self) -> str:
        """Rows of an apStar file."""

    @property
    def lsf(self) -> str:
        """Form of the line spread."""

    @property
    def resolving_power(self) -> float | None:
        """λ / FWHM instead of the file's own."""


def wavelengths() -> Array:
    """The grid of combined spectra in vacuum Å, shape (8575,)."""
    return np.asarray(10.0 ** (START + STEP * np.arange(PIXELS)))


def segments() -> NDArray[np.int16]:
    """Detector of each pixel of that grid: 0 blue, 1 green, 2 red."""
    pixel = np.arange(PIXELS)
    return ((pixel >= GREEN).astype(np.int16) + (pixel >= RED)).astype(np.int16)


def star_records(file: FitsFile, options: CombinedOptions) -> Iterator[Record]:
    """Spectra of an apStar file: a combination, or its visits.

    Args:
        file: Open file.
        options: Which rows, and which line spread.

    Raises:
        DataError: If the grid is not APOGEE's, or the images do not fit each other or the number of visits.
    """
    _check_grid(file, 1)
    cards = file.cards()
    visits = int(cards.number("NVISITS"))
    flux, error = (np.atleast_2d(file.image(n, file.hdus[n].data.ndim)) for n in (1, 2))
    bits = np.atleast_2d(file.bits(3, file.hdus[3].data.ndim))
    if not (flux.shape == error.shape == bits.shape) or not _rows_fit(len(flux), visits):
        raise DataError(
            f"flux {flux.shape}, error {error.shape} and mask {bits.shape} do not fit {visits} visits",
            path=file.path,
            field="NVISITS",
            remedy="check that it is an apStar or aspcapStar file of a release",
        )
    outside = _outside_its_detector(file)
    for row, number in _chosen_rows(options.spectra, visits, len(flux)):
        facts = _visit_facts(file, number) if number else _star_facts(file)
        good, ivar = weigh(flux[row], error[row], (bits[row] & BAD > 0) | outside)
        yield _record(file, options, facts, good, ivar, bits[row], "absolute", {})


def _rows_fit(rows: int, visits: int) -> bool:
    """Two combinations and the visits; of one visit there may be a single row, or the combinations only."""
    return rows == visits + 2 or visits == 1 and rows in (1, 2)


def _chosen_rows(spectra: str, visits: int, rows: int) -> Iterator[tuple[int, int]]:
    """Row, and number of the visit that it holds (0 for a combination)."""
    if spectra == "visits":
        alone = rows < visits + 2
        yield from ((0, 1),) if alone else ((n + 1, n) for n in range(1, visits + 1))
    else:
        yield (1 if spectra == "weighted" and visits > 1 else 0), 0


def _check_grid(file: FitsFile, hdu: int) -> None:
    cards = file.cards(hdu)
    for card, expected in (("CRVAL1", START), ("CDELT1", STEP), ("CRPIX1", 1.0)):
        if abs(cards.number(card) - expected) > 1e-9 * abs(expected):
            raise DataError(
                f"is {cards.number(card)}, but every combined APOGEE spectrum has {expected}",
                path=file.path,
                field=card,
                remedy="check that it is an apStar or aspcapStar file of a release",
            )


def _outside_its_detector(file: FitsFile) -> NDArray[np.bool_]:
    """Pixels of a fast star that its Doppler shift takes past the middle of a gap."""
    cards, pixel = file.cards(), np.arange(PIXELS)
    wrong = np.zeros(PIXELS, bool)
    for last, first, middle in (("BMAX", "GMIN", GREEN), ("GMAX", "RMIN", RED)):
        end, start = cards.optional(last), cards.optional(first)
        with np.errstate(invalid="ignore"):
            wrong |= (pixel >= middle) & (pixel <= end) | (pixel < middle) & (pixel >= start)
    return wrong


def _star_facts(file: FitsFile) -> Facts:
    cards = file.cards()
    return {
        "id": cards.text("OBJID"),
        "object": cards.text("OBJID"),
        "rv": cards.optional("VHELIO"),
        "rv_error": cards.optional("VERR"),
        "rv_scatter": cards.optional("VSCATTER"),
        "visits": cards.optional("NVISITS"),
        "fibre": cards.optional("MEANFIB"),
        "snr": cards.optional("SNR"),
        "starflag": cards.optional("STARFLAG"),
    }


def _visit_facts(file: FitsFile, number: int) -> Facts:
    cards, star = file.cards(), file.cards().text("OBJID")
    source = str(cards.get(f"SFILE{number}") or number).removesuffix(".fits")
    return {
        "id": f"{star}/{'-'.join(source.split('-')[2:]) or source}",
        "object": star,
        "rv": cards.optional(f"VHELIO{number}"),
        "rv_error": cards.optional(f"VERR{number}"),
        "barycentric_correction": cards.optional(f"BC{number}"),
        "mjd": cards.optional(f"JD{number}") - 2_400_000.5,
        "fibre": cards.optional(f"FIBER{number}"),
        "snr": cards.optional(f"SNRVIS{number}"),
        "starflag": cards.optional(f"FLAG{number}"),
    }


def aspcap_record(file: FitsFile, options: CombinedOptions) -> Record:
    """The pseudo-continuum-normalised spectrum of an aspcapStar file, with its calibrated labels.

    Raises:
        DataError: If the grid is not APOGEE's, or the table has no star.
    """
    _check_grid(file, 1)
    flux, error = file.image(1, 1), file.image(2, 1)
    facts, labels = aspcap_labels(file)
    good, ivar = weigh(flux, error, flux == 0.0)
    return _record(file, options, facts, good, ivar, None, "normalized", labels)


def _record(
    file: FitsFile,
    options: CombinedOptions,
    facts: Facts,
    flux: Array,
    ivar: Array,
    bits: NDArray[np.uint32] | None,
    flux_kind: str,
    labels: dict[str, float],
) -> Record:
    spread, origin = _line_spread(file, options, float(facts["fibre"]))
    error = float(facts["rv_error"])
    return Record(
        id=str(facts.pop("id")),
        wavelength=wavelengths(),
        segment=segments(),
        flux=flux,
        ivar=ivar,
        flags=bits,
        line_spread=spread,
        rv=0.0,
        rv_error=error if error >= 0 else float("nan"),
        labels=labels,
        native={**facts, **origin},
        frame="rest",
        flux_kind=flux_kind,
        air_formula="",
    )


def _line_spread(file: FitsFile, options: CombinedOptions, fibre: float) -> tuple[LineSpread, Facts]:
    """Line spread of a combined spectrum, and where it comes from."""
    grid = wavelengths()
    if options.resolving_power is not None:
        return constant_resolution(grid, options.resolving_power), {"lsf": "given"}
    own = file.hdus[8].data if file.has(8) else None
    if own is not None and own.dtype.names is None and own.ndim == 1:
        spread, wing = _described(apogee_lsf.decode(own), options.lsf == "kernel")
        return spread, {"lsf": "file", "lsf_wing": wing}
    if 1 <= fibre <= 300:
        spread = _nominal(apogee_lsf.group_of(fibre), options.lsf == "kernel")
        return spread, {"lsf": "nominal for its fibre", "lsf_wing": 0.0}
    raise DataError(
        "says neither its line spread nor its fibre",
        path=file.path,
        field="MEANFIB",
        remedy="give resolving_power",
    )


@lru_cache(maxsize=8)
def _nominal(group: int, kernel: bool) -> LineSpread:
    """The nominal line spread of a group of fibres, made once: most spectra of a release share it."""
    return _described(apogee_lsf.nominal(group), kernel)[0]


def _described(profile: apogee_lsf.Profile, kernel: bool) -> tuple[LineSpread, float]:
    """A description on the common grid, and the area of the wing that it leaves out."""
    pixels, dispersion = np.arange(PIXELS, dtype=float), wavelengths() * (STEP * np.log(10.0))
    if kernel:
        return apogee_lsf.tabulated(profile, pixels, dispersion), 0.0
    return apogee_lsf.gauss_hermite(profile, pixels, dispersion)
