"""What commands say and where: results on standard output, all else on standard error."""

import json
import logging
import re
import sys

import pytest
import typer
from typer.testing import CliRunner

import synth2obs
from synth2obs.cli import app
from synth2obs.cli.messages import Level, bar, messages
from synth2obs.core.told import LOG

COMMAND = typer.main.get_command(app)
SPEAKS_NOT = {"ui"}
"""Commands that end with no result."""

WORKS_LONG = (
    "quickstart",
    "train",
    "adapt",
    "prove",
    "download",
    "ingest",
    "grid build",
    "grid gradients",
    "grid join",
)
QUICK_ANSWERS = {
    "version": ["version"],
    "config": ["config", "theory.steps=3"],
    "explain": ["config", "--explain", "gap"],
    "schema": ["config", "--schema"],
    "check": ["check", "embedded:stelib"],
    "info": ["grid", "info", "embedded:optical_grid"],
    "engines": ["grid", "engines"],
    "dry run": ["quickstart", "--dry-run"],
}


def every_command():
    for name, command in COMMAND.commands.items():
        inner = getattr(command, "commands", None)
        yield from ((f"{name} {own}", one) for own, one in inner.items()) if inner else [(name, command)]


def options(command):
    return {option for each in command.params for option in each.opts}


def done(*arguments):
    found = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert found.exit_code == 0, found.output
    return found


@pytest.mark.parametrize(
    "name, command", list(every_command()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_command_has_the_options_that_it_should(name, command):
    assert ("--json" in options(command)) == (name not in SPEAKS_NOT)
    assert ({"--quiet", "--log-level"} <= options(command)) == (name in WORKS_LONG)


@pytest.mark.parametrize("arguments", QUICK_ANSWERS.values(), ids=QUICK_ANSWERS.keys())
def test_json_is_one_object_and_nothing_else(arguments):
    found = done(*arguments, "--json")
    assert isinstance(json.loads(found.stdout, parse_constant=pytest.fail), dict)


def test_what_json_says():
    assert json.loads(done("version", "--json").stdout) == {"version": synth2obs.__version__}
    assert json.loads(done("config", "theory.steps=3", "--json").stdout)["theory"]["steps"] == 3
    checked = json.loads(done("check", "embedded:stelib", "--json").stdout)
    assert checked == {"files": {"embedded:stelib": []}}
    assert json.loads(done("grid", "info", "embedded:optical_grid", "--json").stdout)["spectra"] == 948


def test_a_bad_shard_is_json_too(tmp_path):
    found = CliRunner().invoke(app, ["check", str(tmp_path / "no.h5"), "--json"])
    (problem,) = json.loads(found.stdout)["files"][str(tmp_path / "no.h5")]
    assert found.exit_code == 2 and problem.keys() == {"field", "message", "remedy"}


def test_an_error_leaves_standard_output_empty():
    found = CliRunner().invoke(app, ["config", "--explain", "gpa", "--json"])
    assert found.exit_code == 2 and not found.stdout and "did you mean gap" in found.stderr


def test_version_is_an_option_too():
    assert done("--version").stdout.strip() == synth2obs.__version__


def test_completion_is_there():
    assert {"--install-completion", "--show-completion"} <= options(COMMAND)


def test_a_dry_run_says_what_it_would_do_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = done("quickstart", "theory.steps=7", "--dry-run").stdout
    assert "[theory]\nsteps = 7" in said and not list(tmp_path.iterdir())
    assert re.search(r"miles: \d+ train, \d+ validation, \d+ test", said)
    assert "948 spectra of 7145 rest wavelengths" in said and "within a factor of two" in said


def test_a_dry_run_of_the_quick_start_foresees_what_was_measured():
    found = json.loads(done("quickstart", "--dry-run", "--json").stdout)
    assert 240 < found["total_seconds"] < 540 and 1.3 < found["gigabytes"] < 4
    more = json.loads(done("quickstart", "--dry-run", "--json", "theory.steps=4000").stdout)
    assert more["seconds"]["theory"] > 5 * found["seconds"]["theory"]
    assert more["seconds"]["gap"] == found["seconds"]["gap"]


class TestMessages:
    def test_lines_have_a_time_and_go_to_standard_error(self, capsys):
        with messages():
            LOG.info("theory: 400 steps")
        out, err = capsys.readouterr()
        assert not out and re.fullmatch(r"\d\d:\d\d:\d\d theory: 400 steps\n", err)

    @pytest.mark.parametrize("quiet, level", [(True, Level.info), (False, Level.warning)])
    def test_what_is_not_wanted_is_not_said(self, quiet, level, capsys):
        with messages(quiet, level) as bars:
            LOG.info("theory: 400 steps")
            LOG.error("broken")
        assert capsys.readouterr().err.endswith(" broken\n") and bars is not quiet

    def test_everything_is_as_it_was_afterwards(self):
        before = LOG.level, list(LOG.handlers)
        with pytest.raises(ValueError), messages():
            raise ValueError
        assert (LOG.level, LOG.handlers) == before

    def test_a_bar_without_a_terminal_is_lines(self, caplog):
        with caplog.at_level(logging.INFO, LOG.name), bar("reading miles", 3, unit="files") as move:
            move(1, 3)
        assert caplog.messages == ["reading miles: 3 files", "reading miles: done in 0:00:00"]

    def test_a_bar_on_a_terminal_says_no_lines(self, monkeypatch, caplog):
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        with caplog.at_level(logging.INFO, LOG.name), bar("getting", megabytes=True) as move:
            move(1, 3, 1e6)
        assert not caplog.messages

    def test_a_bar_that_is_not_wanted_is_nothing(self, capsys, caplog):
        with caplog.at_level(logging.INFO, LOG.name), bar("reading", 3, wanted=False) as move:
            move(1, 3)
        assert not caplog.messages and not capsys.readouterr().err
