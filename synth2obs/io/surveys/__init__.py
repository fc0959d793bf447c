"""Native files of surveys, one reader a module."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from synth2obs.core.errors import DataError
from synth2obs.core.files import file_sha256
from synth2obs.core.spectra import Spectra
from synth2obs.core.told import LOG
from synth2obs.io.surveys.apogee import APOGEE
from synth2obs.io.surveys.assemble import assemble
from synth2obs.io.surveys.desi import DESI
from synth2obs.io.surveys.gaia_eso import GAIA_ESO
from synth2obs.io.surveys.gaia_rvs import GAIA_RVS
from synth2obs.io.surveys.galah import GALAH
from synth2obs.io.surveys.lamost import LAMOST_LRS
from synth2obs.io.surveys.lamost_mrs import LAMOST_MRS
from synth2obs.io.surveys.mastar import MASTAR
from synth2obs.io.surveys.miles import MILES
from synth2obs.io.surveys.own import SUFFIX, own_survey
from synth2obs.io.surveys.reading import named, read_unit, sources
from synth2obs.io.surveys.record import Record
from synth2obs.io.surveys.sdss5 import SDSS5_APOGEE, SDSS5_BOSS
from synth2obs.io.surveys.star_labels import names_spectra, read_star_labels
from synth2obs.io.surveys.stelib import STELIB
from synth2obs.io.surveys.survey import Parameters, SurveyReader, Unwanted, make_options

Progress = Callable[[int, int], None]

READERS: dict[str, SurveyReader] = {
    survey.name: survey
    for survey in (
        APOGEE,
        DESI,
        GAIA_ESO,
        GAIA_RVS,
        GALAH,
        LAMOST_LRS,
        LAMOST_MRS,
        MASTAR,
        MILES,
        SDSS5_APOGEE,
        SDSS5_BOSS,
        STELIB,
    )
}
"""Every survey that can be ingested."""


def find_survey(name: str) -> SurveyReader:
    """A survey by name, or the one that a file ``….toml`` describes.

    Raises:
        DataError: For an unknown name, with the known ones; or a description that cannot be used.
    """
    if name.endswith(SUFFIX):
        return own_survey(name)
    if name not in READERS:
        raise DataError(
            f"unknown survey {name!r}",
            remedy=f"known surveys: {', '.join(sorted(READERS))}, or your own as a TOML",
        )
    return READERS[name]


def read_survey(
    name: str,
    paths: Sequence[str | Path],
    *,
    parameters: str | Path | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Spectra:
    """Native files of a survey as spectra in memory; `io.ingest.ingest.ingest` does the same on disk, for many files.

    Args:
        name: A key of `READERS`, or the path of a description in TOML.
        paths: The survey's own files.
        parameters: The survey's own table of labels, or a table with a column id, object or file.
        progress: Called with files read and files in all.
        options: Fields of the survey's options.

    Raises:
        DataError: For an unknown survey, an option that it does not take, unreadable files, or spectra that
            cannot stand in one table.
    """
    survey = find_survey(name)
    if not paths:
        raise DataError("no files given", remedy="name at least one file")
    settings = make_options(survey, options)
    table = read_parameters(survey, parameters)
    records: list[Record] = []
    done = 0
    for unit in survey.group([Path(path) for path in paths]):
        records += _usable(read_unit(survey, unit, settings))
        done += len(unit)
        if progress is not None:
            progress(done, len(paths))
    return assemble(records, survey, about(survey, named(records), parameters), table)


def _usable(found: Iterable[Record | DataError]) -> Iterator[Record]:
    for record in found:
        if isinstance(record, Unwanted):
            LOG.warning("%s", record)
        elif isinstance(record, DataError):
            raise record
        else:
            yield record


def read_parameters(survey: SurveyReader, path: str | Path | None) -> Parameters | None:
    """A table of labels; None without one.

    What is not the survey's own table may be anybody's that names spectra in a column id, object or file.

    Raises:
        DataError: If it cannot be read, or is neither.
    """
    if path is None:
        return None
    if survey.parameters is None:
        return read_star_labels(Path(path), survey.columns)
    try:
        return survey.parameters(Path(path))
    except DataError:
        if not names_spectra(Path(path)):
            raise
        return read_star_labels(Path(path))


def about(survey: SurveyReader, files: Any, parameters: str | Path | None) -> dict[str, Any]:
    """Provenance of spectra: what is known of the survey, and the files.

    Args:
        survey: Whose spectra they are.
        files: Name and sha256 of each native file.
        parameters: Table of labels, which counts as a source.
    """
    tables = [] if parameters is None else [(Path(parameters).name, file_sha256(parameters))]
    return {**survey.about, "sources": sources([*files, *tables])}
