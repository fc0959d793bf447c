"""Spectra of Gaia-ESO that ESO's archive finds, asked through astroquery."""

import warnings
from dataclasses import dataclass
from typing import Any

from synth2obs.core.errors import DataError
from synth2obs.io.download.client import Client

COLLECTION = "GAIAESO"
"""Name of the survey among ESO's Phase 3 collections."""


@dataclass(frozen=True, kw_only=True)
class GaiaEsoDownload:
    """Which spectra of Gaia-ESO besides those named by their ids.

    Args:
        target: Name of a star as the archive writes it; ``%`` stands for any letters, ``_`` for one.
        min_snr: Least signal-to-noise ratio.
    """

    target: str | None = None
    min_snr: float | None = None

    def __post_init__(self) -> None:
        if self.min_snr is not None and not 0 <= self.min_snr < float("inf"):
            raise DataError(f"must be 0 or more, got {self.min_snr}", field="min_snr", remedy="mend it")

    def filters(self) -> dict[str, str]:
        """Conditions on columns of ivoa.ObsCore, in ADQL."""
        found = {}
        if self.target is not None:
            quoted = self.target.replace("'", "''")
            found["target_name"] = f"like '{quoted}'"
        if self.min_snr is not None:
            found["snr"] = f">= {self.min_snr}"
        return found


def find_spectra(options: GaiaEsoDownload, service: str, client: Client) -> list[str]:
    """Ids (dp_id) of the spectra for which the options hold; none if they say nothing.

    Args:
        options: What to look for.
        service: Address of ESO's TAP service.
        client: Connection to the archive.

    Raises:
        DataError: If the archive cannot be asked, or has no such spectrum.
    """
    filters = options.filters()
    if not filters:
        return []
    try:
        table = _query(filters, service, client)
    except Exception as error:
        # Of many kinds; astroquery raises them again with a page of advice.
        reason = str(error.__cause__ or error).partition("\n")[0]
        raise DataError(f"{service} cannot be asked: {reason}", remedy="try later, or give --ids") from error
    if "dp_id" not in table.colnames:
        raise DataError(f"{service} refuses the question {filters}", remedy="give --ids")
    if not len(table):
        raise DataError(
            f"ESO's archive has no spectrum of {COLLECTION} with {filters}", remedy="ask for less"
        )
    return [str(one) for one in table["dp_id"]]


def _query(filters: dict[str, str], service: str, client: Client) -> Any:
    """Table with a column dp_id; one without columns if the service refuses the question."""
    from astroquery.eso import EsoClass
    from astroquery.exceptions import NoResultsWarning
    from pyvo.dal import TAPService

    class Eso(EsoClass):
        """ESO's archive through our connections, which have limits of time, at an address of choice."""

        def tap(self, authenticated: bool = False, *, tap_endpoint: str = "tap_obs") -> TAPService:
            return TAPService(service, session=client.asking(service))

    eso = Eso()
    eso.ROW_LIMIT = -1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoResultsWarning)
        return eso.query_surveys(COLLECTION, columns="dp_id", column_filters=filters)
