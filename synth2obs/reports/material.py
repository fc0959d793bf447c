"""What a section of a survey's page may draw on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from synth2obs.reports.checks import Arrays
from synth2obs.reports.content import Block, Note, Picture
from synth2obs.reports.results import Metrics, lookup
from synth2obs.reports.without_labels import unlabelled

ANCHORED = {"baselines", "examples", "label_recovery", "by_wavelength", "chi2_of_stars", "kiel"}
"""Figures that literature labels make."""


@dataclass(frozen=True)
class Material:
    """All that a section may draw on.

    Args:
        metrics: Contents of ``metrics.json``.
        row: The survey's part of it.
        arrays: Contents of ``evaluation/<survey>.npz``.
        pictures: ``data:`` URIs of the drawn figures, by name.
        survey: Name of the survey.
        page: Name of the page without its ending, which its folder of assets has, too.
    """

    metrics: Metrics
    row: Mapping[str, Any]
    arrays: Arrays
    pictures: Mapping[str, str]
    survey: str
    page: str

    @property
    def reasons(self) -> Mapping[str, str]:
        """Why a measurement is missing, by its key, where the evaluation says so."""
        found = lookup(self.metrics, "run", "reasons", self.survey)
        return {str(k): str(v) for k, v in found.items()} if isinstance(found, Mapping) else {}

    def picture(self, name: str, title: str, caption: str) -> Block:
        """The figure of that name, or a note that it could not be drawn."""
        if name in self.pictures:
            return Picture(self.pictures[name], caption, title)
        return self.missing(name, title)

    def missing(self, key: str, title: str, reason: str = "the evaluation holds no numbers for it") -> Note:
        """A note in place of something that was not measured."""
        if key in ANCHORED and unlabelled(self.row):
            reason = "no test star has literature labels; see the section without them"
        return Note(f"{title}: not measured ({self.reasons.get(key, reason)}).")
