"""``synth2obs instruments``: which there are, and one of them."""

import json

from typer.testing import CliRunner

from synth2obs.cli import app
from synth2obs.io.instruments.named import names


def said(*arguments):
    done = CliRunner().invoke(app, ["instruments", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_all_of_them_stand_in_a_table_on_a_line_each():
    lines = said().splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(names())
    assert any(
        "3600–5800, 5760–7620, 7520–9824" in line and line.split()[-1] == "2000–5458" for line in lines
    )


def test_one_is_shown_with_its_source():
    text = said("gaia_rvs")
    assert "8460–8700 Å" in text and "Cropper et al. 2018" in text and "assumed" in text


def test_programs_get_json():
    rows = json.loads(said("--json"))["instruments"]
    assert [row["name"] for row in rows] == list(names()) and all(row["source"] for row in rows)
    assert json.loads(said("desi", "--json"))["pixels"] == 7958


def test_an_unknown_one_is_refused():
    done = CliRunner().invoke(app, ["instruments", "desy"])
    assert done.exit_code == 2 and "did you mean 'desi'?" in done.stderr
