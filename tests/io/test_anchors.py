"""Tables of anchors: read as written, and refused with the reason."""

import numpy as np
import pytest

from synth2obs.core.errors import DataError
from synth2obs.io.anchors import read_anchors

HEADER = "survey,id,teff,teff_error,logg,logg_error,fe_h,fe_h_error\n"
SUN = "miles,MILES_0001,5772,1,4.438,0.001,0.0,0.01\n"


def write(folder, text):
    path = folder / "anchors.csv"
    path.write_text(text)
    return path


def test_rows_of_a_survey_and_labels_that_are_not_known(tmp_path):
    path = write(
        tmp_path, HEADER + SUN + "stelib,HD1,5000,50,3.0,0.1,,\nmiles,MILES_0002,,,2.0,0.1,-1.0,0.1\n"
    )
    found = read_anchors(path, "miles")
    assert list(found.id) == ["MILES_0001", "MILES_0002"]
    np.testing.assert_allclose(found.labels[0], [5772, 4.438, 0.0])
    assert np.isnan(found.labels[1, 0]) and found.errors[1, 1] == 0.1
    assert len(read_anchors(path, "galah").id) == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("survey,id,teff\nmiles,A,5000\n", "teff_error"),
        (HEADER + SUN + SUN, "twice"),
        (HEADER + SUN.replace("4.438,0.001", "4.438,0"), "logg_error"),
        (HEADER + SUN.replace("4.438,0.001", "4.438,"), "logg_error"),
        (HEADER + SUN.replace("5772", "hot"), "teff"),
        ("", "cannot be read as a text table"),
        ("teff\n1\n", "lacks survey"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, told):
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=told) as error:
        read_anchors(path, "miles")
    assert "anchors.csv" in str(error.value)


def test_no_file(tmp_path):
    with pytest.raises(DataError, match="nothing.csv"):
        read_anchors(tmp_path / "nothing.csv", "miles")
