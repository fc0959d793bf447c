"""Addresses of spectra in the surveys' archives, one small function a scheme with its source."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from synth2obs.core.errors import DataError
from synth2obs.io.download.allstar import FieldVisit, select
from synth2obs.io.download.client import Client
from synth2obs.io.download.eso import GaiaEsoDownload, find_spectra
from synth2obs.io.download.target import Target, checked_ids
from synth2obs.io.surveys.survey import NoOptions, choose

APOGEE_RELEASES = {"dr16": ("r12", "l33"), "dr17": ("dr17", "synspec_rev1")}
"""Versions of the reduction and of the parameter pipeline in each release."""

APOGEE_ID = r"[\w+-]+"
OBSERVATION = rf"(?:[a-z]+\d+m/[\w+.-]+/)?{APOGEE_ID}"
GALAH_FILTERS = {"1": "B", "2": "G", "3": "R", "4": "I"}
DP_ID = r"[A-Z0-9_]+\.\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}"
TOKEN = "LAMOST_TOKEN"
"""Environment variable with a user's token for LAMOST's open API."""


@dataclass(frozen=True, kw_only=True)
class Archive:
    """How the files of a survey are asked for.

    Args:
        name: The survey, as for an ingest.
        base: Start of every address.
        targets: Files for ids, options and a base; raises DataError for an id that cannot be one.
        search: Further ids, which the archive finds for options and a base through a connection.
        options: Frozen dataclass of what else may be said.
    """

    name: str
    base: str
    targets: Callable[[Sequence[str], Any, str], list[Target]]
    search: Callable[[Any, str, Client], list[str]] = lambda options, base, client: []
    options: type = NoOptions


@dataclass(frozen=True, kw_only=True)
class ApogeeDownload:
    """Which files of APOGEE.

    Args:
        release: ``dr16`` or ``dr17``.
        product: ``apstar`` (combined and visit spectra) or ``aspcapstar`` (normalised, with parameters).
        catalogue: allStar table of the release, which tells telescope and field of an APOGEE_ID.
        where: Rows of it, as an expression in its columns, e.g. ``SNR > 100 and (STARFLAG & 1) == 0``.
    """

    release: str = "dr17"
    product: str = "apstar"
    catalogue: str | None = None
    where: str | None = None

    def __post_init__(self) -> None:
        choose("release", self.release, tuple(APOGEE_RELEASES))
        choose("product", self.product, ("apstar", "aspcapstar"))
        if self.where is not None and self.catalogue is None:
            raise DataError("has no table to choose from", field="where", remedy="say catalogue=allStar…")


@dataclass(frozen=True, kw_only=True)
class GalahDownload:
    """Which files of GALAH.

    Args:
        release: ``dr3`` or ``dr4``.
        ccds: Numbers of the CCDs, e.g. ``13`` for blue and red.
    """

    release: str = "dr3"
    ccds: str = "1234"

    def __post_init__(self) -> None:
        choose("release", self.release, ("dr3", "dr4"))
        if not self.ccds or set(self.ccds) - set(GALAH_FILTERS):
            raise DataError(f"got {self.ccds!r}", field="ccds", remedy="write some of 1234")


@dataclass(frozen=True, kw_only=True)
class LamostDownload:
    """Which release of LAMOST.

    Args:
        release: ``dr1`` and so on.
        version: Of the release, e.g. ``v2.0``.
    """

    release: str = "dr10"
    version: str = "v2.0"

    def __post_init__(self) -> None:
        for name, value, pattern in (
            ("release", self.release, r"dr\d+"),
            ("version", self.version, r"v[\d.]+"),
        ):
            if re.fullmatch(pattern, value) is None:
                raise DataError(f"got {value!r}", field=name, remedy="write e.g. release=dr10, version=v2.0")


def apstar_url(base: str, release: str, seen: FieldVisit) -> str:
    """An apStar file, or asStar of the telescope in the south, on the Science Archive Server.

    Source: ``apStar`` among the paths of SDSS's own sdss-tree, for DR16 and DR17; specutils and astroNN read the same.
    """
    redux = APOGEE_RELEASES[release][0]
    letter = "s" if seen.telescope.startswith("lco") else "p"
    folder = (
        f"{base}/{release}/apogee/spectro/redux/{redux}/stars/{seen.telescope}/{quote(seen.field, safe='+')}"
    )
    return f"{folder}/a{letter}Star-{redux}-{quote(seen.star, safe='+')}.fits"


def aspcapstar_url(base: str, release: str, seen: FieldVisit) -> str:
    """An aspcapStar file on the Science Archive Server.

    Source: ``aspcapStar`` among the paths of sdss-tree, for DR16 and DR17; astroNN reads the same.
    """
    redux, aspcap = APOGEE_RELEASES[release]
    folder = f"{base}/{release}/apogee/spectro/aspcap/{redux}/{aspcap}/{seen.telescope}"
    return f"{folder}/{quote(seen.field, safe='+')}/aspcapStar-{redux}-{quote(seen.star, safe='+')}.fits"


def galah_url(base: str, release: str, star: str, ccd: str) -> str:
    """A CCD of a star through the link service of Data Central.

    Source: page "GALAH DR4 spectra" of galah-survey.org, section Simple Spectral Access, which has ``galah_dr3``;
    ``galah_dr4`` by analogy.
    """
    query = {"ID": star, "DR": f"galah_{release}", "IDX": "0", "FILT": GALAH_FILTERS[ccd]}
    return f"{base}/vo/slink/links?{urlencode(query | {'RESPONSEFORMAT': 'fits'})}"


def eso_url(base: str, dp_id: str) -> str:
    """A Phase 3 product of ESO's archive.

    Source: ``DOWNLOAD_URL`` of astroquery's ``eso/core.py``.
    """
    return f"{base}/dataPortal/file/{dp_id}"


def lamost_url(base: str, options: LamostDownload, resolution: str, obsid: str) -> str:
    """A spectrum through LAMOST's open API, gzipped or not; a token is a further parameter of the query.

    Source: ``download_fits`` of pylamost, the survey's own client.
    """
    path = f"openapi/{options.release}/{options.version}/{resolution}/spectrum/fits"
    return f"{base}/{path}?{urlencode({'obsid': obsid})}"


def _apogee(ids: Sequence[str], options: ApogeeDownload, base: str) -> list[Target]:
    """Files by ``telescope/field/APOGEE_ID``, or by APOGEE_ID and allStar table."""
    if ids or options.where is None:
        checked_ids(ids, OBSERVATION, "apo25m/K2_C4_168-21/2M03122509+0021585")
    full = [FieldVisit(*one.split("/")) for one in ids if "/" in one]
    bare = [one for one in ids if "/" not in one]
    if bare and options.catalogue is None:
        raise DataError(
            f"{bare[0]!r} does not say telescope and field",
            field="--ids",
            remedy=f"write telescope/field/{bare[0]}, or say -O catalogue=allStar-dr17-synspec_rev1.fits",
        )
    if options.catalogue is not None and (bare or options.where is not None):
        full += select(Path(options.catalogue), bare, options.where)
    for seen in full:
        _refuse_places(seen)
    address = apstar_url if options.product == "apstar" else aspcapstar_url
    urls = {seen: address(base, options.release, seen) for seen in full}
    return [
        Target(f"{seen.telescope}/{seen.field}/{url.rpartition('/')[2]}", url) for seen, url in urls.items()
    ]


def _refuse_places(seen: FieldVisit) -> None:
    """Refuse names that would lead out of the folder, wherever they come from."""
    for part in seen:
        if part in ("", ".", "..") or "/" in part or "\0" in part:
            raise DataError(
                f"{'/'.join(seen)!r} is no telescope/field/APOGEE_ID", field="--ids", remedy="check the table"
            )


def _galah(ids: Sequence[str], options: GalahDownload, base: str) -> list[Target]:
    """Files named ``{sobject_id}{ccd}.fits``, as an ingest wants them."""
    stars = checked_ids(ids, r"\d{15}", "131123003001096")
    ccds = dict.fromkeys(options.ccds)
    return [Target(f"{s}{ccd}.fits", galah_url(base, options.release, s, ccd)) for s in stars for ccd in ccds]


def _eso(ids: Sequence[str], options: object, base: str) -> list[Target]:
    products = checked_ids(ids, DP_ID, "ADP.2016-09-23T06:51:28.123")
    return [Target(f"{one}.fits", eso_url(base, one)) for one in products]


def _eso_search(options: GaiaEsoDownload, base: str, client: Client) -> list[str]:
    """Ids of what the options choose; a mirror has the service of the archive under ``tap_obs``."""
    return find_spectra(options, ESO_TAP if base == ESO else f"{base}/tap_obs", client)


def _lamost(ids: Sequence[str], options: LamostDownload, base: str, resolution: str) -> list[Target]:
    token = os.environ.get(TOKEN, "")
    secret = {"token": token} if token else {}
    return [
        Target(f"{obsid}.fits", lamost_url(base, options, resolution, obsid), secret)
        for obsid in checked_ids(ids, r"\d+", "103232")
    ]


SAS, DATA_CENTRAL = "https://data.sdss.org/sas", "https://datacentral.org.au"
ESO, LAMOST = "https://dataportal.eso.org", "https://www.lamost.org"
ESO_TAP = "https://archive.eso.org/tap_obs"
"""Service that knows ESO's Phase 3 products: ``tap_obs_url`` of astroquery's ``eso``."""

ARCHIVES: dict[str, Archive] = {
    archive.name: archive
    for archive in (
        Archive(name="apogee", base=SAS, targets=_apogee, options=ApogeeDownload),
        Archive(name="galah", base=DATA_CENTRAL, targets=_galah, options=GalahDownload),
        Archive(name="gaia_eso", base=ESO, targets=_eso, search=_eso_search, options=GaiaEsoDownload),
        Archive(
            name="lamost_lrs",
            base=LAMOST,
            targets=lambda ids, options, base: _lamost(ids, options, base, "lrs"),
            options=LamostDownload,
        ),
        Archive(
            name="lamost_mrs",
            base=LAMOST,
            targets=lambda ids, options, base: _lamost(ids, options, base, "mrs"),
            options=LamostDownload,
        ),
    )
}
"""Every survey whose files can be downloaded."""


def find_archive(name: str) -> Archive:
    """The archive of a survey.

    Raises:
        DataError: For a survey without one, naming those with one.
    """
    if name not in ARCHIVES:
        raise DataError(f"no archive is known for {name!r}", remedy=f"known: {', '.join(sorted(ARCHIVES))}")
    return ARCHIVES[name]
