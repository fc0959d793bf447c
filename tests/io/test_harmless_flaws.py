"""FITS files whose data are whole are read, whatever stands around them; files whose data are not are refused."""

import gzip

import numpy as np
import pytest
from astropy.io import fits

from synth2obs.core.errors import DataError
from synth2obs.io.surveys import read_survey

END = b"END".ljust(80)


def with_card(content, card, hdu=0):
    """The file with a card before an END whose block has room for it."""
    places, at = [], content.find(END)
    while at >= 0:
        places.append(at)
        at = content.find(END, at + 80)
    end = places[hdu]
    assert content[end + 80 : end + 160].strip() == b""
    return content[:end] + card.ljust(80)[:80] + END + content[end + 160 :]


HARMLESS = {
    "accent in latin-1": lambda c: with_card(c, "OBSERVER= 'J. Muñoz'".encode("latin-1")),
    "UTF-8": lambda c: with_card(c, "COMMENT  seeing 1″, 20 °C".encode()),
    "zeros at the end": lambda c: c + bytes(2880),
    "some bytes at the end": lambda c: c + b"\n",
    "blanks at the end": lambda c: c + b" " * 5000,
    "a signature at the end": lambda c: c + b"-----BEGIN PGP SIGNATURE-----\n" * 200,
    "HIERARCH without =": lambda c: with_card(c, b"HIERARCH ESO TEL AIRM START 1.2"),
    "HIERARCH": lambda c: with_card(c, b"HIERARCH ESO OCS CON WCS2 = 'a long name' / comment"),
    "long keyword": lambda c: with_card(c, b"OBSERVATORY NAME = 'X'"),
    "lower case": lambda c: with_card(c, b"airmass = 1.2"),
    "value that is none": lambda c: with_card(c, b"AIRMASS = 1.2.3 / what"),
    "NaN": lambda c: with_card(c, b"AIRMASS =                  NaN"),
    "text without end": lambda c: with_card(c, b"NOTE    = 'no end"),
    "NUL behind END": lambda c: c.replace(END, b"END" + bytes(77)),
    "NUL in a comment": lambda c: with_card(c, b"COMMENT a\0b"),
    "gzipped": lambda c: gzip.compress(c, 1),
}


def plain(paths):
    """The files without checksums, which would make a change of a header damage."""
    for path in paths:
        with fits.open(path) as hdus:
            for hdu in hdus:
                for card in ("CHECKSUM", "DATASUM"):
                    hdu.header.remove(card, ignore_missing=True)
            copy = fits.HDUList([hdu.copy() for hdu in hdus])
        copy.writeto(path, overwrite=True, output_verify="ignore")


@pytest.mark.parametrize("flaw", HARMLESS)
@pytest.mark.parametrize(
    "layout", ["miles", "lrs image", "apstar", "galah 6.0", "eso phase 3", "mrs", "desi"]
)
def test_every_reader_reads_what_is_whole(native, tmp_path, layout, flaw):
    survey, paths, options = native.LAYOUTS[layout](tmp_path)
    plain(paths)
    expected = read_survey(survey, paths, **options)
    for number, path in enumerate(paths):
        content = HARMLESS[flaw](path.read_bytes())
        path.write_bytes(content)
        if flaw == "gzipped":
            paths[number] = path.rename(path.with_name(path.name + ".gz"))
    found = read_survey(survey, paths, **options)
    assert found.id.tolist() == expected.id.tolist()
    for name in ("wavelength", "flux", "ivar", "rv"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))


@pytest.mark.parametrize("cut", [1, 500])
def test_a_last_block_that_is_not_filled_up(native, tmp_path, cut):
    """Data end within the last block; what is cut is padding."""
    survey, paths, options = native.LAYOUTS["miles"](tmp_path)
    plain(paths)
    expected = read_survey(survey, paths, **options)
    with fits.open(paths[0]) as hdus:
        unfilled = -hdus[0].data.nbytes % 2880
    paths[0].write_bytes(paths[0].read_bytes()[: -min(cut, unfilled)])
    np.testing.assert_array_equal(read_survey(survey, paths, **options).flux, expected.flux)
    paths[0].write_bytes(paths[0].read_bytes()[: -(unfilled - min(cut, unfilled) + 1)])
    with pytest.raises(DataError, match="truncated.*download or copy"):
        read_survey(survey, paths, **options)


def test_a_damaged_header_of_an_extension_is_not_bytes_at_the_end(native, tmp_path):
    survey, paths, options = native.LAYOUTS["apstar"](tmp_path)
    content = paths[0].read_bytes()
    place = content.rfind(b"XTENSION")
    paths[0].write_bytes(content[:place] + b"YTENSION" + content[place + 8 :])
    with pytest.raises(DataError, match="HDU .*no FITS extension"):
        read_survey(survey, paths, **options)


def test_a_damaged_end_does_not_swallow_the_next_header(native, tmp_path):
    survey, paths, options = native.LAYOUTS["apstar"](tmp_path)
    paths[0].write_bytes(paths[0].read_bytes().replace(END, b"ENX".ljust(80), 1))
    with pytest.raises(DataError, match="HDU 0: is no whole FITS file: a header has no card END"):
        read_survey(survey, paths, **options)


@pytest.mark.parametrize("where", ["data", "header", "sum"])
def test_a_wrong_checksum_is_damage(tmp_path, native, where):
    survey, paths, options = native.LAYOUTS["miles"](tmp_path)
    with fits.open(paths[0]) as hdus:
        hdus.writeto(paths[0], overwrite=True, checksum=True)
    read_survey(survey, paths, **options)
    content = bytearray(paths[0].read_bytes())
    place = {
        "data": len(content) - 3000,
        "header": content.find(b"CRVAL1") + 25,
        "sum": content.find(b"DATASUM") + 12,
    }
    content[place[where]] ^= 1
    paths[0].write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"HDU 0, (DATASUM|CHECKSUM): checksum .* is not that"):
        read_survey(survey, paths, **options)


@pytest.mark.parametrize(
    ("card", "value"),
    [
        ("FWHM", 25000.0),
        ("FWHM", 0.01),
        ("CDELT1", 0.09),
        ("CDELT1", 0.91),
        ("CDELT1", 9.0),
        ("CRVAL1", 5000.0),
    ],
)
def test_a_header_that_cannot_be_is_refused(native, tmp_path, card, value):
    survey, paths, options = native.LAYOUTS["miles"](tmp_path)
    fits.setval(paths[0], card, value=value)
    with pytest.raises(DataError, match=f"{card if card == 'FWHM' else 'CDELT1|CRVAL1'}"):
        read_survey(survey, paths, **options)
