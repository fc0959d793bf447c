"""What files hold, unpacked, and their names."""

import gzip
import time
import tracemalloc
from io import BufferedReader
from pathlib import Path

import pytest

from synth2obs.core.errors import DataError
from synth2obs.core.unpacked import Limited, bare_name, first_bytes, read_text, read_unpacked, suffix_of


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("star_T5000_g4.5.csv", "star_T5000_g4.5"),
        ("ADP.2015-09-10T12:34:56.789.fits", "ADP.2015-09-10T12:34:56.789"),
        ("HD 1.FITS.GZ", "HD 1"),
        ("a.csv.gz", "a"),
        ("a.b", "a.b"),
        (".fits", ".fits"),
        ("a.fits.fits", "a.fits"),
    ],
)
def test_only_endings_of_formats_are_no_name(name, bare):
    assert bare_name(name) == bare
    assert suffix_of(Path("x/y.CSV.gz")) == ".csv"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("packed", [False, True])
def test_text_has_no_mark(tmp_path, encoding, packed):
    content = "Muñoz,1\n".encode(encoding)
    (tmp_path / "a").write_bytes(gzip.compress(content) if packed else content)
    assert read_text(tmp_path / "a") == "Muñoz,1\n"
    assert first_bytes(tmp_path / "a", 3) == content[:3]


def test_text_of_another_encoding(tmp_path):
    (tmp_path / "a").write_bytes(b"Mu\xf1oz")
    with pytest.raises(DataError, match="a: cannot be read as text.*save it as UTF-8"):
        read_text(tmp_path / "a")
    assert read_text(tmp_path / "a", fallback="latin-1") == "Muñoz"


@pytest.fixture(scope="module")
def bomb(tmp_path_factory):
    """A gigabyte of zeros in one megabyte."""
    path = tmp_path_factory.mktemp("bomb") / "bomb.fits.gz"
    with gzip.open(path, "wb", compresslevel=9) as stream:
        for _ in range(64):
            stream.write(bytes(2**24))
    return path


def test_a_bomb_is_not_unpacked(bomb):
    began = time.process_time()
    tracemalloc.start()
    with pytest.raises(DataError, match="unpacks to more than 68 MB from 1.04 MB.*unpack it yourself"):
        read_unpacked(bomb)
    with pytest.raises(DataError, match="unpacks to more than"), BufferedReader(Limited(bomb)) as stream:
        while stream.read(2**20):
            pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**28 and time.process_time() - began < 5.0


@pytest.mark.parametrize("survey", ["miles", "lamost_lrs", "galah", "desi", "gaia_rvs", "mine"])
def test_no_survey_unpacks_a_bomb(bomb, tmp_path, survey):
    from synth2obs.io.surveys import read_survey

    path = tmp_path / "1311230030010961.fits.gz"
    path.symlink_to(bomb)
    if survey == "mine":
        survey = str(tmp_path / "mine.toml")
        keys = 'name = "m"\nwavelength = "w"\nflux = "f"\nerror = "e"\nunit = "nm"\nmedium = "air"\n'
        Path(survey).write_text(keys + 'frame = "rest"\nflux_kind = "relative"\nfwhm = 1\n')
        (path := tmp_path / "a.csv.gz").symlink_to(bomb)
    with pytest.raises(DataError, match="unpacks to more than"):
        read_survey(survey, [path])


def test_a_cut_or_damaged_gzip_file(tmp_path):
    content = gzip.compress(bytes(range(256)) * 100)
    for number, broken in enumerate((content[:-5], content[:100] + b"x" + content[101:], content[:12])):
        (path := tmp_path / f"{number}.gz").write_bytes(broken)
        with pytest.raises(DataError, match="damaged or cut gzip"):
            read_unpacked(path)


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_unpacked(tmp_path / "a")
