"""Records of a part on their way into shards, a limited number at a time."""

from pathlib import Path
from typing import Any

from synth2obs.io.shard.write import write_shard
from synth2obs.io.surveys import about, read_parameters
from synth2obs.io.surveys.assemble import assemble, kind_of
from synth2obs.io.surveys.reading import named
from synth2obs.io.surveys.record import Record
from synth2obs.io.surveys.survey import SurveyReader

MOST = 256
"""Records that wait in memory, of a file that holds many."""


class Blocks:
    """Writes records as they come, one shard for every kind: whether kinds may mix is decided when parts are merged.

    Args:
        survey: Whose records they are.
        parameters: Table of labels, or None.
        target: Path of the shards without number and ending.
    """

    def __init__(self, survey: SurveyReader, parameters: str | None, target: str) -> None:
        self.survey, self.target = survey, target
        self._table = read_parameters(survey, parameters)
        self._waiting: list[Record] = []
        self._shards: list[str] = []

    def add(self, record: Record) -> None:
        """Keep a record until there are `MOST`."""
        self._waiting.append(record)
        if len(self._waiting) == MOST:
            self._write()

    def finish(self) -> list[str]:
        """Write what waits; the paths of all shards, in order."""
        self._write()
        return self._shards

    def _write(self) -> None:
        kinds: dict[Any, list[Record]] = {}
        for record in self._waiting:
            kinds.setdefault(kind_of(record, self.survey.same_pixels), []).append(record)
        for group in kinds.values():
            path = Path(f"{self.target}-{len(self._shards)}.h5")
            spectra = assemble(group, self.survey, about(self.survey, named(group), None), self._table)
            self._shards.append(str(write_shard(spectra, path)))
        self._waiting = []
