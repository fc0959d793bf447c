"""Last stage, where a table of anchors is given: the label map of each survey from stars of known labels."""

import torch
from pydantic import Field

from synth2obs.core.config import Section
from synth2obs.core.errors import DataError
from synth2obs.io.anchors import LABELS, Anchors, read_anchors
from synth2obs.io.embedded import resolve
from synth2obs.models.fit.anchors import MapPrior, learn_map
from synth2obs.training.stages.base import StageBase
from synth2obs.training.state import State

FEWEST = 3
"""Anchors below which a survey's map stays the identity."""


class AnchorsConfig(Section):
    """Stars of known labels, which tie a survey's labels to an outside scale; none by default."""

    table: str = Field(
        default="",
        description="table of survey, id, teff, teff_error, logg, logg_error, fe_h, fe_h_error; only stars of "
        "the training part count, so that those of the test part test",
    )
    teff: float = Field(default=200.0, gt=0, description="prior σ of the shift of all stars, K")
    logg: float = Field(default=0.4, gt=0, description="the same, dex")
    fe_h: float = Field(default=0.3, gt=0, description="the same, dex")
    slopes: float = Field(
        default=0.3,
        gt=0,
        description="prior σ of its change over a standard deviation of the grid's labels, of these",
    )


class AnchorsStage(StageBase):
    """One step: the label map of one survey that has anchors. Spectra, morph and gap stay as they are."""

    name = "anchors"

    def __init__(self, state: State, config: AnchorsConfig) -> None:
        super().__init__(state)
        self.config = config
        self.found = (
            {name: read_anchors(resolve(config.table), name) for name in state.bridge.surveys}
            if config.table
            else {}
        )
        self.rows = {name: self._rows(name, anchors) for name, anchors in self.found.items()}
        self.surveys = [name for name, rows in self.rows.items() if len(rows) >= FEWEST]
        self.steps = len(self.surveys)

    def _rows(self, name: str, anchors: Anchors) -> list[tuple[int, int]]:
        """Rows of the training stars that are anchors, and their rows in the table."""
        data = self.state.domains.surveys[name]
        known = {str(star): row for row, star in enumerate(anchors.id)}
        unknown = sorted(set(known) - set(map(str, data.spectra.id)))
        if len(unknown) == len(known) and known:
            raise DataError(
                f"no anchor of {name} is in its shard, e.g. {unknown[0]!r}",
                path=self.config.table,
                field="id",
                remedy=f"write ids like {str(data.spectra.id[0])!r}",
            )
        ids = data.spectra.id[data.rows("train")]
        return [(row, known[str(star)]) for row, star in enumerate(ids) if str(star) in known]

    def step(self, index: int) -> dict[str, float]:
        """The map of one survey."""
        name, bridge = self.surveys[index], self.state.bridge
        rows, places = (list(part) for part in zip(*self.rows[name], strict=True))
        anchors, columns = self.found[name], [bridge.labels.index(label) for label in LABELS]
        table = torch.as_tensor(bridge.labels.default).repeat(len(rows), 1)
        table[:, columns] = torch.from_numpy(anchors.labels[places])
        known, slope = bridge.scale(table), bridge.scale.slope(bridge.scale(table))
        variance = (torch.from_numpy(anchors.errors[places]) / slope[:, columns]).square()
        start = self.state.stars[name].x[rows]
        terms = learn_map(
            bridge,
            self.state.seen[name].take(torch.tensor(rows)),
            known[:, columns],
            variance,
            start,
            self._prior(),
        )
        return {f"{name}/anchors": float(len(rows))} | {
            f"{name}/scatter_{label}": float(value)
            for label, value in zip(LABELS, terms.scatter, strict=True)
        }

    def _prior(self) -> MapPrior:
        """Widths in scaled labels; Teff's at the middle of the grid."""
        bridge, config = self.state.bridge, self.config
        slope = bridge.scale.slope(torch.zeros(1, len(bridge.labels), dtype=torch.float64))[0].abs()
        wanted = torch.tensor([config.teff, config.logg, config.fe_h], dtype=torch.float64)
        constant = wanted / slope[[bridge.labels.index(label) for label in LABELS]]
        return MapPrior(constant, config.slopes * constant)
