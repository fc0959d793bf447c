"""Names that others have chosen, where they go."""

import pytest

from synth2obs.core.errors import DataError
from synth2obs.core.text import LONGEST, as_cell, file_part, from_cell, storable, visible

NAMES = [
    "a/b",
    "a_b",
    "a\nb",
    "a b",
    "../../etc/passwd",
    "é" * 5000,
    "x" * 5000,
    "x" * 4999,
    "\udce9",
    "=1",
    "",
    "A\0",
]


def test_what_a_terminal_obeys_is_shown():
    assert visible("\x1b[31mred\u202e\n\udce9 Ünï$\u200b") == r"\x1b[31mred\u202e\n\udce9 Ünï$\u200b"
    assert visible("a\nb", "\n") == "a\nb"


def test_errors_obey_nothing():
    error = DataError("got \x1b]0;x\x07", path="a\x1b[2J.fits", field="F\r", remedy="b\x08")
    assert str(error).isprintable() and error.path.name == "a\x1b[2J.fits"


def test_no_two_names_have_one_file():
    parts = [file_part(name) for name in NAMES]
    assert len(set(parts)) == len(NAMES)
    assert all("/" not in part and len(part.encode()) <= LONGEST + 9 for part in parts)
    assert file_part("HD-1+2.5_a") == "HD-1+2.5_a"


@pytest.mark.parametrize("name", NAMES)
def test_everything_can_be_stored(name):
    assert storable(name).encode().rstrip(b"\0").decode() == storable(name)


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+SUM(A1)", "-BD+12", "@x", "'=x"])
def test_spreadsheets_compute_nothing(text):
    assert as_cell(text) == f"'{text}" and from_cell(as_cell(text)) == text


@pytest.mark.parametrize("text", ["HD 1", "-12.5", "+3", "'quoted", ""])
def test_other_cells_stay(text):
    assert as_cell(text) == text == from_cell(text)
