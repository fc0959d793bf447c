"""A byte of a run's numbers that changes on the disk is noticed by whoever reads them."""

import json

import pytest
from typer.testing import CliRunner

from synth2obs.cli import app
from synth2obs.core.digests import DIGESTS, forget_digests, keep_digests, refuse_changed
from synth2obs.core.errors import DataError
from synth2obs.reports.results import read_arrays, read_metrics
from synth2obs.training.finished import finished
from synth2obs.training.run import read_config

FILES = ("metrics.json", "evaluation/miles.npz", "evaluation/stelib.npz")


def change_a_digit(path):
    """The last digit of the file's text; of a binary file its middle byte."""
    content = bytearray(path.read_bytes())
    digits = [at for at, byte in enumerate(content) if chr(byte).isdigit()]
    at = digits[-1] if path.suffix == ".json" else len(content) // 2
    content[at] ^= 1
    path.write_bytes(bytes(content))


def test_a_run_has_a_digest_of_all_its_numbers(trained):
    assert sorted(json.loads((trained.folder / DIGESTS).read_text())) == sorted(FILES)
    for name in FILES:
        refuse_changed(trained.folder / name)


@pytest.mark.parametrize("name", FILES)
def test_every_reader_refuses_what_has_changed(name, copy_of, small):
    change_a_digit(copy_of / name)
    read = read_metrics if name == "metrics.json" else read_arrays
    with pytest.raises(DataError, match=f"{name}: has changed since it was written.*evaluates again"):
        read(copy_of / name)
    with pytest.raises(DataError, match=name):
        finished(read_config(None, small), copy_of)
    commands = [["report", copy_of], *([] if "npz" in name else [["runs", copy_of.parent]])]
    commands.append(["compare", copy_of, copy_of, "-o", copy_of.parent / "both.html"])
    for command in commands:
        done = CliRunner().invoke(app, [str(word) for word in command])
        assert done.exit_code == 2 and "has changed since it was written" in done.stderr, command


def test_what_was_deleted_is_evaluated_again(copy_of, small):
    change_a_digit(copy_of / "metrics.json")
    (copy_of / "metrics.json").unlink()
    assert finished(read_config(None, small), copy_of) is None


def test_runs_from_before_digests_are_read(copy_of):
    (copy_of / DIGESTS).unlink()
    change_a_digit(copy_of / "metrics.json")
    read_metrics(copy_of / "metrics.json")


@pytest.mark.parametrize("content", ["{", "[]", "3"])
def test_damaged_digests_are_named(content, copy_of):
    (copy_of / DIGESTS).write_text(content)
    with pytest.raises(DataError, match="digests.json: cannot be read.*put it back, or delete it"):
        read_metrics(copy_of / "metrics.json")


def test_a_kill_while_numbers_are_written_leaves_no_old_digests(tmp_path):
    (tmp_path / "metrics.json").write_text("{}")
    keep_digests(tmp_path, [tmp_path / "metrics.json"])
    forget_digests(tmp_path)
    (tmp_path / "metrics.json").write_text("[]")
    refuse_changed(tmp_path / "metrics.json")
