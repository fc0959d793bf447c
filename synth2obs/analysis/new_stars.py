"""Which stars of a sample taught a bridge, so that a report does not call them new."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from synth2obs.core.errors import DataError
from synth2obs.core.files import file_sha256
from synth2obs.core.spectra import Spectra
from synth2obs.io.embedded import resolve
from synth2obs.models.bridge import Bridge

CHOICES = ("leave out", "keep")


@dataclass(frozen=True)
class NewStars:
    """Spectra of a report.

    Args:
        spectra: Those that it is about.
        taught: How many of the sample's stars taught the bridge; None if the bridge does not remember its stars.
        kept: Whether these are among the spectra.
    """

    spectra: Spectra
    taught: int | None
    kept: bool

    def about(self, bridge: Bridge, given: Any) -> dict[str, str]:
        """What the report's page says of the sample and of the bridge, in words."""
        return {
            "stars": _in_words(len(self.spectra), self.taught, self.kept),
            "spectra": _source(given),
            "bridge": f"trained {bridge.card.get('started') or 'at an unknown time'}",
        }


def new_stars(bridge: Bridge, spectra: Spectra, survey: str, trained: str) -> NewStars:
    """Spectra with or without the stars that taught the bridge.

    Args:
        bridge: Trained.
        spectra: Of a survey.
        survey: Its name.
        trained: ``leave out`` or ``keep`` these.

    Raises:
        DataError: If all would be left out, or for another word.
    """
    if trained not in CHOICES:
        raise DataError(f"got {trained!r}", field="trained", remedy=f"say {' or '.join(map(repr, CHOICES))}")
    known = bridge.card.get("surveys", {}).get(survey, {}).get("stars")
    if known is None:
        return NewStars(spectra, None, kept=True)
    taught = np.isin(spectra.star, known)
    if trained == "keep":
        return NewStars(spectra, int(taught.sum()), kept=True)
    if taught.all():
        raise DataError(
            f"all {len(spectra)} stars taught the bridge",
            field="spectra",
            remedy="give others, or say trained='keep' (--keep-training-stars) and read the page as such",
        )
    return NewStars(spectra.take(~taught), int(taught.sum()), kept=False)


def _in_words(count: int, taught: int | None, kept: bool) -> str:
    if taught is None:
        return f"{count} stars; whether they taught the bridge is not known"
    if kept and taught:
        return f"{count} stars, of which {taught} taught the bridge: their residuals flatter it"
    left = f"; {taught} that did are left out" if taught else ""
    return f"{count} stars that did not teach the bridge{left}"


def _source(given: Any) -> str:
    if isinstance(given, str | Path):
        return f"{Path(given).name}, sha256 {file_sha256(resolve(given))[:12]}…"
    return f"{type(given).__name__} in memory"
