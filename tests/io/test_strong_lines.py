"""What lies at a wavelength, by a table of lines."""

import numpy as np
import pytest

from synth2obs.core.errors import DataError
from synth2obs.io.strong_lines import STRONG_LINES, StrongLines, read_strong_lines


def test_the_embedded_table_has_the_lines_that_everyone_knows():
    table = read_strong_lines(STRONG_LINES)
    assert (np.diff(table.wavelength) >= 0).all() and len(table.wavelength) > 4000
    assert table.near(5891.58, 1.0).startswith("Na I 5891.58")
    assert "Mg I 5185.0" in table.near(5185.05, 1.0)
    assert "Ca I 6163.88" in table.near(6163.9, 1.0)
    assert table.near(9000.0, 1.0) == ""


def test_the_strongest_comes_first_and_weak_ones_are_left_out():
    table = StrongLines(
        np.array([5000.0, 5000.5, 5001.0]), np.array(["A I", "B II", "C I"]), np.array([1.0, 3.0, 0.01])
    )
    assert table.near(5000.4, 1.0) == "B II 5000.50, A I 5000.00"
    assert table.near(5000.4, 1.0, most=1) == "B II 5000.50"


def test_a_table_without_its_columns_is_refused(tmp_path):
    path = tmp_path / "lines.csv"
    path.write_text("wavelength,species\n5000.0,Fe I\n")
    with pytest.raises(DataError, match="log_strength"):
        read_strong_lines(path)
