"""Damaged files by the hundred: the same data or a DataError in seconds, and never other flux where checksums stand.

Files are the native layouts that the tests write, with checksums and without. Damage is drawn from a seed.
"""

import gzip
import importlib.util
import shutil
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from synth2obs.core.errors import DataError
from synth2obs.io.embedded import embedded_path
from synth2obs.io.shard.check import check_shard
from synth2obs.io.shard.read import read_shard
from synth2obs.io.surveys import read_survey

pytestmark = pytest.mark.slow

SPEC = importlib.util.spec_from_file_location(
    "native_faults", Path(__file__).parents[1] / "io" / "native_files.py"
)
NATIVE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(NATIVE)

LAYOUTS = [
    *("miles", "stelib", "lrs image", "lrs table", "lrs of the pilot survey", "mrs", "apstar", "apvisit"),
    *("aspcapstar", "galah dr3", "galah 6.0", "eso phase 3", "desi", "mastar"),
]
FAULTS = 120
"""Of each layout, with checksums and without."""

SECONDS = 10.0


def bit(content, random):
    place = random.integers(len(content))
    return content[:place] + bytes([content[place] ^ 1 << random.integers(8)]) + content[place + 1 :]


def header_bit(content, random):
    """In a header, which is the smaller part of most files."""
    starts = [at for at in range(0, len(content), 2880) if content[at : at + 8] in (b"SIMPLE  ", b"XTENSION")]
    start = starts[random.integers(len(starts))]
    return content[:start] + bit(content[start : start + 2880], random) + content[start + 2880 :]


def card(content, random):
    """A card's value becomes another."""
    cards = [at for at in range(0, min(len(content), 8640), 80) if content[at + 8 : at + 10] == b"= "]
    at = cards[random.integers(len(cards))]
    values = [
        b"-1",
        b"0",
        b"99999999999999999999",
        b"NaN",
        b"'text'",
        b"T",
        b"1E308",
        b"",
        b"1.5",
        b"'\xff\x00'",
    ]
    value = values[random.integers(len(values))].rjust(20).ljust(70)
    return content[: at + 10] + value + content[at + 80 :]


def swapped(content, random):
    """Two cards change places."""
    one, other = (80 * random.integers(1, 36) for _ in range(2))
    parts = bytearray(content)
    parts[one : one + 80], parts[other : other + 80] = content[other : other + 80], content[one : one + 80]
    return bytes(parts)


def cut(content, random):
    return content[: random.integers(len(content))]


def cut_near_the_end(content, random):
    return content[: -random.integers(1, 4000)]


def noise(content, random):
    place, length = random.integers(len(content)), random.integers(1, 5000)
    return content[:place] + random.bytes(length) + content[place + length :]


def lost(content, random):
    place, length = random.integers(len(content)), random.integers(1, 5000)
    return content[:place] + content[place + length :]


def zeros(content, random):
    place, length = random.integers(len(content)), random.integers(1, 20000)
    return content[:place] + bytes(min(length, len(content) - place)) + content[place + length :]


def more(content, random):
    return content + random.bytes(random.integers(1, 6000))


def packed(content, random):
    return bit(gzip.compress(content, 1), random)


def packed_and_cut(content, random):
    return cut(gzip.compress(content, 1), random)


DAMAGE = [
    bit,
    header_bit,
    card,
    swapped,
    cut,
    cut_near_the_end,
    noise,
    lost,
    zeros,
    more,
    packed,
    packed_and_cut,
]


@pytest.fixture(scope="module", params=LAYOUTS)
def layout(request, tmp_path_factory):
    """Files of a layout, what they hold, and how they are read."""
    folder = tmp_path_factory.mktemp("files")
    survey, paths, options = NATIVE.LAYOUTS[request.param](folder)
    return survey, paths, options, read_survey(survey, paths, **options)


def with_sums(content, checksums):
    """A FITS file with checksums in every HDU, or in none."""
    from io import BytesIO

    target = BytesIO()
    with warnings.catch_warnings(), fits.open(BytesIO(content)) as hdus:
        warnings.simplefilter("ignore")
        for hdu in hdus:
            for name in ("CHECKSUM", "DATASUM"):
                hdu.header.remove(name, ignore_missing=True)
        fits.HDUList([hdu.copy() for hdu in hdus]).writeto(target, checksum=checksums, output_verify="ignore")
    return target.getvalue()


@pytest.mark.parametrize("checksums", [True, False])
def test_the_same_or_a_data_error(layout, tmp_path, checksums):
    survey, paths, options, expected = layout
    whole = with_sums(paths[0].read_bytes(), checksums)
    # Files of one star must stand in one folder.
    path, *others = (Path(shutil.copy(one, tmp_path)) for one in paths)
    for number in range(FAULTS):
        damage, random = DAMAGE[number % len(DAMAGE)], np.random.default_rng([number, len(whole), checksums])
        path.write_bytes(damage(whole, random))
        began = time.monotonic()
        try:
            found = read_survey(survey, [path, *others], **options)
        except DataError as error:
            assert path.name in str(error) or "no spectrum" in str(error)
        else:
            assert np.isfinite(found.flux).all() and np.isfinite(found.ivar).all() and (found.ivar >= 0).all()
            if checksums:
                same(found, expected, damage)
        assert time.monotonic() - began < SECONDS, damage.__name__


def same(found, expected, damage):
    for name in ("wavelength", "flux", "ivar"):
        mine, theirs = getattr(found, name), getattr(expected, name)
        assert mine.shape == theirs.shape, (damage.__name__, name)
        np.testing.assert_array_equal(mine, theirs, err_msg=f"{damage.__name__}: {name}")


@pytest.mark.parametrize("name", ["miles", "optical_grid"])
def test_shards(tmp_path, name):
    """Every dataset has checksums, and so have the file's own structures."""
    whole = embedded_path(name).read_bytes()
    expected = read_shard(embedded_path(name), slice(0, 8))
    path = tmp_path / "a.h5"
    for number in range(24):
        damage = (bit, cut, noise, lost, zeros, more)[number % 6]
        path.write_bytes(damage(whole, np.random.default_rng([number, 7])))
        try:
            found = read_shard(path, slice(0, 8))
        except DataError:
            continue
        np.testing.assert_array_equal(found.flux, expected.flux)
        assert all(problem.remedy for problem in check_shard(path))


OWN = (
    'name = "m"\nwavelength = "wave"\nflux = "flux"\nerror = "sigma"\nunit = "Angstrom"\nmedium = "vacuum"\n'
    'frame = "rest"\nflux_kind = "relative"\nfwhm = 1\n'
)
CELLS = [
    "",
    "nan",
    "inf",
    "-1",
    "1e400",
    "abc",
    '"',
    ",",
    "#",
    "\0",
    "é",
    "0x10",
    "5000;",
    "'1",
    "1_0",
    "\ufeff",
    "\r",
    "\n",
]


def test_tables_of_text(tmp_path):
    """Cells, lines and bytes of a CSV change: other rows stay, and nothing but a DataError is raised."""
    (tmp_path / "m.toml").write_text(OWN)
    wave = 5000.0 + 0.5 * np.arange(300)
    flux = 1.0 - 0.3 * np.exp(-0.5 * ((wave - 5070.0) / 2.0) ** 2)
    whole = "wave,flux,sigma\n" + "".join(
        f"{w!r},{f!r},0.01\n" for w, f in zip(wave.tolist(), flux.tolist(), strict=True)
    )
    path, read = tmp_path / "a.csv", 0
    for number in range(300):
        random = np.random.default_rng([number, 3])
        text = changed(whole, random, number % 5)
        content = text.encode("utf-8", "surrogatepass")
        path.write_bytes(gzip.compress(content) if number % 7 == 0 else content)
        began = time.monotonic()
        try:
            found = read_survey(str(tmp_path / "m.toml"), [path])
        except DataError as error:
            assert "a.csv" in str(error) and str(error).replace("\n", "").isprintable()
        else:
            read += 1
            assert np.isfinite(found.flux).all() and (found.ivar >= 0).all()
            rows = np.isin(np.round(found.wavelength, 6), np.round(wave, 6))
            assert rows.sum() >= 290
        assert time.monotonic() - began < SECONDS
    assert read > 30


def changed(text, random, how):
    lines = text.splitlines()
    row = int(random.integers(len(lines)))
    cell = CELLS[random.integers(len(CELLS))]
    if how == 0:
        cells = lines[row].split(",")
        cells[random.integers(3)] = cell
        lines[row] = ",".join(cells)
    elif how == 1:
        lines[row] = lines[row][: random.integers(len(lines[row]))]
    elif how == 2:
        lines.insert(row, cell)
    elif how == 3:
        place = int(random.integers(len(text)))
        return text[:place] + cell + text[place + 1 :]
    else:
        lines[row] += "," + cell
    return "\n".join(lines) + "\n"
