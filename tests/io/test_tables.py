"""Tables keep what their flags mean."""

import numpy as np
import pytest

from synth2obs.analysis.flags import meaning
from synth2obs.io.tables import FORMATS, as_table, read_table, write_table


@pytest.mark.parametrize("ending", sorted(set(FORMATS) - {".csv"}))
def test_units_and_the_meaning_of_flags_come_back(ending, tmp_path):
    columns = {"teff": np.array([5000.0, 6000.0]), "flags": np.array([0, 1])}
    table = as_table(columns, {"teff": "K"}, flags=meaning(), survey="miles", stars=np.int64(2))
    found = read_table(write_table(table, tmp_path / f"labels{ending}"))
    assert found.meta["flags"] == meaning() and found.meta["survey"] == "miles"
    assert str(found["teff"].unit) == "K" and list(found["flags"]) == [0, 1]


def test_csv_has_the_numbers(tmp_path):
    path = write_table(as_table({"teff": [1.0]}, {"teff": "K"}, flags=meaning()), tmp_path / "a.csv")
    assert list(read_table(path)["teff"]) == [1.0]
