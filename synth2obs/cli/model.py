"""Commands of a trained model."""

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
    load,
    table_ready,
)
from synth2obs.core.errors import DataError
from synth2obs.core.files import named_files

if TYPE_CHECKING:
    from synth2obs.analysis.attribution import AttributedLine
    from synth2obs.analysis.remeasure import GapMeasurement
    from synth2obs.synthesis.overlay import Overlay
    from synth2obs.synthesis.settings import LineListConfig

EVERYWHERE = (2000.0, 1e6)
"""Å: of a line list of which all is wanted."""


def population(
    model: Model,
    shard: Annotated[str, typer.Argument(help="Observed spectra: a shard, or embedded:miles")],
    survey: SurveyName,
    out: TableOut,
    count: Annotated[int, typer.Option("--count", "-n", help="How many stars to draw", min=1)] = 1000,
    seed: Annotated[int, typer.Option(help="The same seed and count give the same stars", min=0)] = 0,
    force: Force = False,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Which stars a survey has: Teff, log g and [Fe/H] drawn from their density, the errors of fits taken out.

    Example: synth2obs population OUT embedded:miles -s miles -n 1000 -o stars.ecsv
    """
    with errors_for_people():
        table_ready(out, [shard, bundle_of(model)])
        import synth2obs
        from synth2obs.io.tables import as_table, write_table

        found = synth2obs.survey_population(load(model, store), shard, survey, seed=seed, force=force)
        facts = {"survey": survey, "stars": found.stars, "grid_spectra": round(found.grid_spectra, 1)}
        units = {"teff": "K", "logg": "dex", "fe_h": "dex"}
        write_table(as_table(found.sample(count, seed), units, **facts), out)
        kind = "a flow" if found.is_flow else "a normal distribution"
        answer(
            as_json,
            {"table": out, "draws": count, **facts, "is_flow": found.is_flow},
            f"{out}: {count} draws from {kind} that {found.stars} stars taught; weighted to them, the grid is worth "
            f"{found.grid_spectra:.0f} of its spectra",
        )


def fit(
    model: Model,
    shard: Annotated[str, typer.Argument(help="Observed spectra: a shard, or embedded:miles")],
    survey: SurveyName,
    out: TableOut,
    population: Annotated[bool, typer.Option(help="Use the stellar-evolution prior")] = True,
    vsini: Annotated[str | None, typer.Option(help="Projected rotation of all stars in km/s, or fit")] = None,
    lsf: Annotated[
        str | None, typer.Option(help="Factor on the survey's line spread of all stars, or fit")
    ] = None,
    vmac: Annotated[float, typer.Option(help="Radial-tangential macroturbulence of all stars in km/s")] = 0.0,
    priors: Annotated[
        Path | None,
        typer.Option(help="Table of id, teff, teff_error, logg, logg_error …: known from elsewhere"),
    ] = None,
    force: Force = False,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Labels with errors of every spectrum in a shard, fitted through the survey's morph.

    Example: synth2obs fit OUT mine.h5 -s miles -o labels.ecsv

    Example: synth2obs fit OUT hot.h5 -s miles --vsini fit -o labels.ecsv

    Example: synth2obs fit OUT mine.h5 -s miles --lsf fit -o labels.ecsv

    Example: synth2obs fit OUT mine.h5 -s miles --priors photometry.csv -o labels.ecsv

    Example: synth2obs fit models:/optical@champion mine.h5 -s miles --store OUT/mlflow -o labels.ecsv
    """
    with errors_for_people():
        table_ready(out, [shard, priors, bundle_of(model)])
        import synth2obs
        from synth2obs.io.tables import read_table, write_table

        known = None if priors is None else read_table(priors)
        bridge = load(model, store)
        turning = {"vsini": _number(vsini), "lsf": _number(lsf), "vmac": vmac}
        table = synth2obs.fit_labels(
            bridge, shard, survey, population=population, priors=known, force=force, **turning
        )
        write_table(table, out)
        flagged = int((table["flags"] > 0).sum())
        facts = {"table": out, "stars": len(table), "flagged": flagged, "meaning": table.meta["flags"]}
        answer(as_json, facts, f"{out}: {len(table)} stars, {flagged} flagged")


def _number(text: str | None) -> float | str | None:
    """A number where the text is one."""
    try:
        return text if text is None else float(text)
    except ValueError:
        return text


def gap(
    model: Model,
    shard: Annotated[str, typer.Argument(help="Observed spectra: a shard, or embedded:miles")],
    survey: SurveyName,
    out: TableOut,
    lines: Annotated[
        Path | None,
        typer.Option(help="Line lists: a grid's recipe (.toml), or one list with its format and medium"),
    ] = None,
    lines_format: Annotated[str, typer.Option(help="Of one list: turbospectrum or moog")] = "turbospectrum",
    lines_medium: Annotated[str | None, typer.Option(help="Of one list's wavelengths: air or vacuum")] = None,
    overlay: Annotated[
        Path | None, typer.Option(help="Corrections of log gf to write, .ecsv, with --lines")
    ] = None,
    force: Force = False,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """The gap between theory and a shard's spectra, with its posterior, and its strongest lines.

    The lines are printed, and written beside the spectrum: for -o gap.ecsv into gap-lines.ecsv.
    A depth above 0: stars absorb more than theory. In brackets the probability of the element.
    With line lists, these say which elements have lines where, and their log gf are corrected in an overlay, which
    `synth2obs grid build --overlay` applies.

    Example: synth2obs gap OUT mine.h5 -s miles -o gap.ecsv

    Example: synth2obs gap OUT mine.h5 -s miles --lines grids/optical/recipe.toml -o gap.ecsv --overlay overlay.ecsv
    """
    with errors_for_people():
        if overlay is not None and lines is None:
            raise DataError("an overlay is of a line list", field="--overlay", remedy="give --lines, too")
        if overlay is not None and overlay.suffix != ".ecsv":
            raise DataError("keeps which list it belongs to", path=overlay, remedy="end its name with .ecsv")
        lines_out = out.with_stem(f"{out.stem}-lines")
        tables = [out, lines_out, *([overlay] if overlay else [])]
        for number, table in enumerate(tables):
            table_ready(table, [shard, *_line_files(lines), bundle_of(model), *tables[:number]])
        import synth2obs
        from synth2obs.analysis.remeasure import gap_table, line_table
        from synth2obs.io.tables import write_table

        lists = None if lines is None else _line_lists(lines, lines_format, lines_medium)
        found = synth2obs.measure_gap(load(model, store), shard, survey, lines=lists, force=force)
        write_table(gap_table(found), out)
        write_table(line_table(found), lines_out)
        corrected = {} if overlay is None else _write_overlay(found.overlay, overlay)
        if as_json:
            return answer(True, {**_gap_facts(found, out, lines_out), **corrected})
        typer.echo(f"gap rms {found.rms:.4f} ± {found.rms_error:.4f} of the continuum, {found.stars} stars")
        for line in found.lines:
            typer.echo(_in_words(line))
        typer.echo(f"{out}, {lines_out}: {len(found.lines)} lines")
        if corrected:
            fixed, missing = corrected["corrected"], corrected["missing"]
            typer.echo(f"{overlay}: log gf of {fixed} lines, and {missing} lines that the list lacks")


def _line_files(lines: Path | None) -> list[Path]:
    """A line list, or a recipe and the files that it names."""
    if lines is None or lines.suffix != ".toml":
        return [] if lines is None else [lines]
    from synth2obs.synthesis.recipe import read_recipe

    return [lines, *named_files(read_recipe(lines).model_dump(), lines.parent)]


def _gap_facts(found: "GapMeasurement", out: Path, lines_out: Path) -> dict[str, Any]:
    """A gap's size and lines, for programs."""
    from synth2obs.analysis.remeasure import LINE_COLUMNS

    return {
        "gap": out,
        "lines": lines_out,
        "rms": found.rms,
        "rms_error": found.rms_error,
        "stars": found.stars,
        "strongest": [{name: getattr(line, name) for name in LINE_COLUMNS} for line in found.lines],
    }


def _line_lists(file: Path, form: str, medium: str | None) -> "Path | list[LineListConfig]":
    """A recipe, or one line list in full."""
    if file.suffix == ".toml":
        return file
    from synth2obs.core.config_io import parse_config
    from synth2obs.synthesis.settings import LineListConfig

    if medium is None:
        raise DataError(
            "the medium of its wavelengths is never guessed",
            path=file,
            remedy="give --lines-medium air or vacuum",
        )
    tree = {"file": str(file), "format": form, "medium": medium, "range": EVERYWHERE}
    return [parse_config(LineListConfig, tree, source="--lines")]


def _write_overlay(overlay: "Overlay", path: Path) -> dict[str, Any]:
    """Write corrections, and count them."""
    from synth2obs.synthesis.overlay import LINE, write_overlay

    write_overlay(overlay, path)
    lines = len({row.transition for row in overlay.rows if row.kind == LINE})
    return {"overlay": path, "corrected": lines, "missing": sum(row.kind != LINE for row in overlay.rows)}


def _in_words(line: "AttributedLine") -> str:
    """A line with its element, or what it may be if none is probable."""
    nearest = f"{line.element} ({line.probability:.2f})"
    doubtful = (
        f"no element (nearest {nearest})" if line.unexplained > 0.5 else f"{nearest} or {line.alternatives}"
    )
    named = nearest if line.probability > 0.5 else line.note or doubtful
    return f"{line.wavelength:9.2f} Å  depth {line.depth:+.3f} ± {line.depth_error:.3f}  {named}"
