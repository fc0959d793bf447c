"""Commands that make spectra of a trained model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synth2obs.cli.common import (
    Force,
    Json,
    Model,
    Store,
    SurveyName,
    TableOut,
    answer,
    bundle_of,
    errors_for_people,
    file_ready,
    load,
    table_ready,
)
from synth2obs.core.errors import DataError
from synth2obs.core.labels import labels_in_words

if TYPE_CHECKING:
    from synth2obs.analysis.batches import Batches
    from synth2obs.analysis.morphed_file import Written

STEP = 1024
"""Stars between two writes."""

STREAMED = ".h5"
"""Ending of a file that is written as spectra are made."""

MOST_STARS = 2048
"""In a table, which has columns for every star."""

SAID = 20
"""Stars outside the grid that are named."""

SpectraOut = Annotated[
    Path, typer.Option("--out", "-o", help="Table (.ecsv, .csv, .fits), or .h5 for any number of stars")
]


def morph(
    model: Model,
    out: SpectraOut,
    survey: Annotated[
        str, typer.Option("--survey", "-s", help="A survey that the model knows; optional with --instrument")
    ] = "",
    instrument: Annotated[
        str | None,
        typer.Option(help="Pixels of an instrument instead: see synth2obs instruments, or yours, mine.toml"),
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option("--label", "-l", help="name=value or name=value,value,…; repeat")
    ] = None,
    stars: Annotated[
        Path | None, typer.Option(help="Table of labels instead: a column a label, a row a star")
    ] = None,
    spectrum: Annotated[Path | None, typer.Option(help="Shard of observed spectra instead of labels")] = None,
    source: Annotated[str | None, typer.Option(help="Survey of that shard")] = None,
    rv: Annotated[float | None, typer.Option(help="km/s, positive receding")] = None,
    vsini: Annotated[float, typer.Option(help="Projected rotation in km/s, with labels")] = 0.0,
    vmac: Annotated[float, typer.Option(help="Radial-tangential macroturbulence in km/s, with labels")] = 0.0,
    emulator_error: Annotated[
        bool, typer.Option("--emulator-error", help="In an .h5 file, too, where it takes most of the time")
    ] = False,
    force: Force = False,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """What a survey sees of a star given by labels, or by another telescope's spectrum.

    Labels that are left out follow Teff, log g and [Fe/H] (microturbulence, α elements) or are solar; what was used is
    printed. Those outside the grid are answered and named. An .h5 file, a row a star, is written as they are made.

    Example: synth2obs morph OUT -s miles -l teff=5777 -l logg=4.44 -l fe_h=0 -o sun.ecsv

    Example: synth2obs morph OUT -s miles -l teff=4500,5500,6500 -o three.ecsv

    Example: synth2obs morph OUT -s miles -l teff=6400 --vsini 80 -o rotating.ecsv

    Example: synth2obs morph OUT -s miles --stars labels.ecsv -o many.h5

    Example: synth2obs morph OUT -s miles --spectrum stelib.h5 --source stelib -o as_miles.ecsv

    Example: synth2obs morph OUT --instrument 4most_lrs -l teff=5777 -o as_4most.ecsv

    Example: synth2obs morph OUT --instrument lamost_lrs -s miles -l teff=5777 -o as_lamost.ecsv
    """
    with errors_for_people():
        labels = _given(label or [], stars, spectrum)
        ready = file_ready if out.suffix == STREAMED else table_ready
        # A name is no file, even if a folder here is called so.
        own = instrument if instrument and instrument.endswith(".toml") else None
        ready(out, [stars, spectrum, own, bundle_of(model)])
        import synth2obs

        batches = synth2obs.morph_batches(
            load(model, store),
            survey=survey,
            labels=labels,
            spectrum=spectrum,
            instrument=instrument,
            source=source,
            rv=rv,
            force=force,
            vsini=vsini,
            vmac=vmac,
            batch=STEP if out.suffix == STREAMED else MOST_STARS,
        )
        streamed = out.suffix == STREAMED
        found = batches.write(out, emulator_error=emulator_error) if streamed else _as_table(batches, out)
        _say_outside(found)
        if found.labels and not as_json:
            typer.echo(f"labels used: {labels_in_words(found.labels)}", err=True)
        answer(as_json, _counts(out, found), f"{out}: {len(found.flags)} spectra of {found.pixels} pixels")


def _given(label: list[str], stars: Path | None, spectrum: Path | None) -> Any:
    """Labels as they are said, or a table of them; None where spectra are given."""
    if stars is None:
        return _labels(label) if label or spectrum is None else None
    if label:
        raise DataError("labels are given twice", field="--stars", remedy="give --label or --stars")
    from synth2obs.io.tables import read_table

    return read_table(stars)


def _as_table(batches: "Batches", out: Path) -> "Written":
    """Spectra as columns of a table.

    Raises:
        DataError: If there are too many.
    """
    from synth2obs.analysis.morphed_file import Written
    from synth2obs.analysis.morphed_table import spectrum_table
    from synth2obs.io.tables import write_table

    if len(batches) > MOST_STARS:
        raise DataError(
            f"{len(batches)} stars, each with columns of its own in a table of at most {MOST_STARS}",
            path=out,
            remedy=f"end the name with {STREAMED}",
        )
    written = Written()
    (found,) = batches
    written.add(found)
    write_table(spectrum_table(found), out)
    return written


def _say_outside(found: "Written") -> None:
    """Name the stars outside the grid, or as many as fit on a screen."""
    outside = [(row, names) for row, names in enumerate(found.outside) if names]
    lines = [f"star {row}: outside the grid in {', '.join(names)}: flagged" for row, names in outside[:SAID]]
    if len(outside) > SAID:
        lines.append(f"and {len(outside) - SAID} further stars outside the grid")
    for line in lines:
        typer.secho(line, fg="yellow", err=True)


def _counts(out: Path, found: "Written") -> dict[str, Any]:
    """What a file of spectra holds, for programs."""
    return {
        "table": out,
        "spectra": len(found.flags),
        "pixels": found.pixels,
        "flags": found.flags,
        "outside": found.outside if any(found.outside) else (),
        "labels": found.labels,
    }


def generate(
    model: Model,
    survey: SurveyName,
    out: TableOut,
    count: Annotated[int, typer.Option("--count", "-n", help="How many spectra", min=1)] = 1,
    seed: Annotated[int, typer.Option(help="The same seed and count give the same spectra", min=0)] = 0,
    rv: Annotated[float, typer.Option(help="km/s, positive receding")] = 0.0,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Typical spectra of a survey's stars, drawn from what the model learned of them: no noise, no labels.

    Example: synth2obs generate OUT -s miles -n 100 --seed 1 -o spectra.fits
    """
    with errors_for_people():
        table_ready(out, [bundle_of(model)])
        import synth2obs
        from synth2obs.analysis.flags import UNUSUAL
        from synth2obs.analysis.morphed_file import Written
        from synth2obs.analysis.morphed_table import spectrum_table
        from synth2obs.io.tables import write_table

        found = synth2obs.generate(load(model, store), survey, count, seed, rv)
        write_table(spectrum_table(found), out)
        written = Written()
        written.add(found)
        unusual = int((found.flags & UNUSUAL > 0).sum())
        text = f"{out}: {count} spectra of {found.flux.shape[1]} pixels, {unusual} beyond 99 % of the grid"
        answer(as_json, _counts(out, written), text)


def _labels(pairs: list[str]) -> dict[str, list[float]]:
    labels: dict[str, list[float]] = {}
    for pair in pairs:
        name, _, values = (part.strip() for part in pair.partition("="))
        if name in labels:
            raise DataError(f"{name!r} is given twice", field="--label", remedy=f"write {name}=value,value")
        try:
            labels[name] = [float(value) for value in values.split(",")]
        except ValueError:
            raise DataError(
                f"got {pair!r}", field="--label", remedy="write name=number, e.g. teff=5777"
            ) from None
    if not labels:
        raise DataError(
            "nothing to morph", field="--label", remedy="give --label name=value or --spectrum SHARD"
        )
    return labels
