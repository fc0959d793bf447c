"""Code in the documentation runs, and commands in it exist.

The blocks of a page run in order in one namespace, in a folder that has what the page speaks of: runs of the small
training of the other tests, and a few spectra of each embedded survey in place of all.
"""

import re
import shlex
import shutil
import tomllib

import matplotlib
import numpy as np
import pytest
import typer
from matplotlib import pyplot
from pages import PAGES, ROOT, Block, blocks, name_of, spans

from synth2obs.analysis.proof.settings import ProveConfig
from synth2obs.cli import app
from synth2obs.io import embedded
from synth2obs.io.instruments.settings import InstrumentSettings
from synth2obs.io.own_grids import FORMATS
from synth2obs.io.own_grids.description import describe
from synth2obs.io.shard.read import read_shard
from synth2obs.io.shard.write import write_shard
from synth2obs.models.emulator import kernel
from synth2obs.prove.cases import training_of
from synth2obs.training.config import TrainConfig

OWN_TEST = "extending.md"
"""A page whose files and lines `tests/test_extending.py` puts into a copy of the package."""

BLOCKS = [block for page in PAGES if page.name != OWN_TEST for block in blocks(page)]
PYTHON = [block for block in BLOCKS if block.language == "python"]
SHELL = [block for block in BLOCKS if block.language in ("sh", "bash", "")]
RUNS = ("synth2obs-quickstart", "runs/first", "runs/optical", "runs/mine")
STARS = 12
COMMAND = typer.main.get_command(app)
UsageError = typer.BadParameter.__mro__[1]
"""Of the click that typer brings along."""


@pytest.fixture(scope="session")
def few_stars(trained, tmp_path_factory):
    """Shards of a few spectra of the embedded surveys, by name, with those that the training kept for tests."""
    folder = tmp_path_factory.mktemp("few")

    def written(name):
        spectra = read_shard(embedded.embedded_path(name))
        tested = np.load(trained.folder / "evaluation" / f"{name}.npz")["test_id"]
        chosen = np.isin(spectra.id, tested) | (np.arange(len(spectra)) < STARS)
        return write_shard(spectra.take(chosen), folder / f"{name}.h5")

    return {name: written(name) for name in ("miles", "stelib")}


@pytest.fixture
def desk(trained, few_stars, tmp_path, monkeypatch, keep_torch):
    """A folder to work in, as a reader of the documentation has it."""
    for run in RUNS:
        for part in ("bridge", "evaluation"):
            shutil.copytree(trained.folder / part, tmp_path / run / part)
        shutil.copy(trained.folder / "metrics.json", tmp_path / run)
    whole = embedded.embedded_path
    # docs/decoder.md puts something else in its place.
    monkeypatch.setattr(kernel, "relevance", kernel.relevance)
    monkeypatch.setattr(embedded, "embedded_path", lambda name: few_stars.get(name) or whole(name))
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    with keep_torch():
        yield tmp_path
    pyplot.close("all")


def pages_with(chosen):
    return pytest.mark.parametrize("page", sorted({block.page for block in chosen}), ids=name_of)


@pages_with([block for block in PYTHON if not block.reason])
def test_python_runs(page, desk):
    names = {"__name__": "__main__"}
    for block in blocks(page):
        if block.language == "python" and not block.reason:
            # Empty lines in front: a traceback names the line of the page.
            code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
            exec(code, names)


def test_few_blocks_are_not_run_and_those_are_python():
    skipped = [block for block in PYTHON if block.reason]
    for block in skipped:
        compile(block.text, str(block), "exec")
        print(f"{block} is not run: {block.reason}")
    assert len(skipped) <= 5 and len(PYTHON) >= 12


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "toml"], ids=str)
def test_toml_is_a_bench_a_training_a_grid_an_instrument_or_a_survey(block):
    """Settings are checked, and descriptions of a grid and an instrument; that of a survey has a name."""
    tree = tomllib.loads(block.text)
    if "scenarios" in tree:
        training_of(ProveConfig.model_validate(tree), ROOT)
    elif "data" in tree:
        TrainConfig.model_validate(tree)
    elif "format" in tree:
        describe({**FORMATS[tree["format"]].defaults, **tree}, block.page)
    elif "segments" in tree:
        InstrumentSettings.model_validate(tree)
    else:
        assert tree["name"]


def commands(text):
    """The lines of a shell block that call us, without comments, continued lines joined."""
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        for part in re.split(r"&&|;|\|\|", line.split(" #")[0]):
            words = shlex.split(part, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words = words[1:]
            if words and words[0] == "synth2obs":
                yield words[1:]


def parse(words):
    """Parse a command as the program would, and do nothing else.

    Raises:
        UsageError: For a command, an option or a number of arguments that does not exist.
    """
    context, command, rest = typer.Context(COMMAND), COMMAND, list(words)
    while hasattr(command, "commands"):
        name, command, rest = command.resolve_command(context, rest)
        parent, context = context, typer.Context(command, parent=context)
    command.make_context(name, rest, parent=parent)


CALLS = [(block, words) for block in SHELL for words in commands(block.text)]


@pytest.mark.parametrize("block, words", CALLS, ids=[f"{block} {words[0]}" for block, words in CALLS])
def test_commands_exist(block, words):
    parse(words)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_the_text_exist(page):
    """In running text arguments may be left out; commands and options must be there."""
    for text in spans(page):
        words = text.replace("[", " ").replace("]", " ").split()
        if words[:1] == ["synth2obs"] and len(words) > 1:
            group, start = COMMAND, 1
            if hasattr(COMMAND.commands.get(words[1]), "commands") and len(words) > 2:
                group, start = COMMAND.commands[words[1]], 2
            names = [words[start]] if "|" not in words else [word for word in words[start:] if word != "|"]
            if names[0].startswith("--"):
                assert names[0] in {"--help", *(option for each in COMMAND.params for option in each.opts)}
                continue
            parameters = [parameter for name in names for parameter in group.commands[name].params]
            known = {option for each in parameters for option in (*each.opts, *each.secondary_opts)}
            unknown = {word for word in words[2:] if re.match(r"-{1,2}[a-z]", word)} - known
            assert not unknown, text


@pytest.mark.parametrize(
    "words",
    [
        "morf OUT",
        "fit OUT a.h5 -s miles",
        "fit OUT a.h5 -s miles -o t.ecsv --fast",
        "check",
        "grid jion a.toml -o g.h5",
        "grid join a.toml",
        "ui a --port no",
    ],
)
def test_the_parser_refuses_what_does_not_exist(words):
    with pytest.raises(UsageError):
        parse(words.split())


def test_a_block_inside_a_list_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "1. x\n\n   <!-- not run: no time -->\n   ```python\n   a = 1\n   ```\n\n```sh\nls\n```\n"
    )
    assert list(blocks(page)) == [
        Block(page, 5, "python", "a = 1\n", "no time"),
        Block(page, 9, "sh", "ls\n", ""),
    ]
