"""Files that cannot be used: our error, which names the file and the cause, within a second; or the right result.

Forty broken files are fixed; mutations of native files are drawn from a seed: 200 here, 2000 under ``slow``.
"""

import gzip
import importlib.util
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from synth2obs.core.errors import DataError
from synth2obs.io.air import air_to_vacuum
from synth2obs.io.surveys import find_survey, read_survey
from synth2obs.io.surveys.reading import read_unit
from synth2obs.io.surveys.record import checked
from synth2obs.io.surveys.survey import make_options

SPEC = importlib.util.spec_from_file_location("native_bad", Path(__file__).with_name("native_files.py"))
NATIVE = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(NATIVE)

FITS_LAYOUTS = [name for name in NATIVE.LAYOUTS if name not in ("own", "rvs bulk", "mwm visits, apogee")]
SECONDS = 1.0


def edited(change):
    """Break the first file through astropy."""

    def breaks(paths):
        with fits.open(paths[0]) as hdus:
            change(hdus)
            hdus.writeto(paths[0], overwrite=True, output_verify="ignore")

    return breaks


def data(hdu, value):
    """Replace an image; ``value`` makes the new from the old."""

    def change(hdus):
        hdus[hdu].data = value(hdus[hdu].data)

    return edited(change)


def card(hdu, name, value):
    def change(hdus):
        if value is None:
            del hdus[hdu].header[name]
        else:
            hdus[hdu].header[name] = value

    return edited(change)


def raw(change):
    def breaks(paths):
        paths[0].write_bytes(change(paths[0].read_bytes()))

    return breaks


def column(hdu, name, value):
    def change(hdus):
        hdus[hdu].data[name] = value

    return edited(change)


def remove(*numbers):
    def change(hdus):
        for number in sorted(numbers, reverse=True):
            del hdus[number]

    return edited(change)


def missing(paths):
    paths[0].unlink()


def folder(paths):
    paths[0].unlink()
    paths[0].mkdir()


BROKEN = {
    "empty file": ("apstar", raw(lambda b: b""), "is empty"),
    "missing file": ("lrs image", missing, "no such file"),
    "folder": ("galah dr3", folder, "is a folder"),
    "text": ("mrs", raw(lambda b: b"<html>404 Not Found</html>"), "cannot be read as FITS"),
    "zeros": ("apvisit", raw(lambda b: bytes(len(b))), "cannot be read as FITS"),
    "header only": ("apstar", raw(lambda b: b[:2880]), "is no apStar|FITS|HDU"),
    "half a header": ("lrs table", raw(lambda b: b[:1000]), "FITS"),
    "cut in the middle": ("apstar", raw(lambda b: b[: len(b) // 2]), "FITS|truncated"),
    "cut at the end": ("galah 6.0", raw(lambda b: b[:-4000]), "FITS|truncated"),
    "gzip cut short": ("lrs image", raw(lambda b: gzip.compress(b)[:-200]), "FITS"),
    "gzip of nothing": ("lrs image", raw(lambda b: gzip.compress(b"")), "FITS"),
    "damaged gzip": ("mrs", raw(lambda b: b"\x1f\x8b" + b[:3000]), "FITS"),
    "wrong survey: APOGEE as LAMOST": ("apstar", "lamost_lrs", "neither an image of 5 rows"),
    "wrong survey: LAMOST as APOGEE": ("lrs image", "apogee", "is no apStar"),
    "wrong survey: MRS as LRS": ("mrs", "lamost_lrs", "use lamost_mrs"),
    "wrong survey: GALAH as MILES": ("galah dr3", "miles", "FWHM|MILES number|CDELT1"),
    "wrong survey: MILES as STELIB star": ("lrs table", "stelib", "must be an image of 1 dimension"),
    "wrong survey: MaStar as ESO": ("mastar", "gaia_eso", "no table SPECTRUM"),
    "wrong survey: ESO as DESI": ("eso phase 3", "desi", "FIBERMAP"),
    "wavelengths not monotone": ("apvisit", data(4, lambda a: np.roll(a, 7, axis=1)), "HDU 4"),
    "wavelengths repeated": ("apvisit", data(4, lambda a: np.repeat(a[:, ::2], 2, axis=1)), "HDU 4"),
    "wavelengths NaN": (
        "lrs image",
        data(0, lambda a: np.where(np.arange(5)[:, None] == 2, np.nan, a)),
        "WAVELENGTH",
    ),
    "wavelengths in nm": (
        "lrs image",
        data(0, lambda a: a * np.array([1, 1, 0.1, 1, 1])[:, None]),
        "WAVELENGTH",
    ),
    "all pixels masked": ("apstar", data(3, lambda a: a | 1), "no good pixel"),
    "all errors infinite": ("apstar", data(2, lambda a: a * np.inf), "no good pixel"),
    "all fluxes NaN": ("galah 6.0", data(1, lambda a: a * np.nan), None),
    "all inverse variances zero": (
        "lrs image",
        data(0, lambda a: a * np.array([1, 0, 1, 1, 1])[:, None]),
        "no good",
    ),
    "a single pixel": ("miles", data(0, lambda a: a[:1]), "window|single pixel|pixels"),
    "a single pixel of LAMOST": ("lrs image", data(0, lambda a: a[:, :1]), "only 1 good pixel"),
    "no pixel at all": ("lrs image", data(0, lambda a: a[:, :0]), "lamost_lrs|FITS|no good|HDU"),
    "image of integers": (
        "apstar",
        data(1, lambda a: np.nan_to_num(a).astype(np.int32)),
        "holds int32, not floats",
    ),
    "mask of floats": ("apstar", data(3, lambda a: a + 0.5), "mask holds float64"),
    "mask beyond 32 bits": ("apstar", data(3, lambda a: a | 1 << 40), "not 32 bits"),
    "transposed": ("apstar", data(1, lambda a: a.T), "is no apStar"),
    "visits of another star's number": ("apstar", card(0, "NVISITS", 7), "NVISITS"),
    "no name": ("apstar", card(0, "OBJID", None), "OBJID"),
    "an HDU is gone": ("galah 6.0", remove(2), "relative_error"),
    "mask gone": ("apstar", remove(3), "mask holds float64"),
    "line spread makes no sense": ("apstar of DR13", data(8, lambda a: -a), "line-spread|lsf"),
    "line spread is NaN": ("apvisit", data(10, lambda a: a * np.nan), "line-spread"),
    "column gone": ("mrs", edited(lambda h: h["COADD_B"].columns.del_col("IVAR")), "COADD_B.*IVAR"),
    "faster than light": ("mastar", column(1, "HELIOV", 4e5), "rv: is 4"),
    "medium in doubt": ("lrs table", card(0, "VACUUM", 1), "VACUUM"),
}


@pytest.fixture(scope="module", autouse=True)
def libraries():
    """What is imported with the first file counts for no file."""
    air_to_vacuum(5000.0)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named_with_its_cause(name, tmp_path):
    layout, breaks, words = BROKEN[name]
    survey, paths, options = NATIVE.LAYOUTS[layout](tmp_path)
    if isinstance(breaks, str):
        survey, options = breaks, {}
    else:
        breaks(paths)
    start = time.process_time()
    if words is None:
        record = read_survey(survey, paths, **options)
        assert (record.ivar[0, record.segment == 0] == 0).all() and (record.ivar > 0).any()
    else:
        with pytest.raises(DataError, match=words) as error:
            read_survey(survey, paths, **options)
        assert any(path.name in str(error.value) for path in paths) and error.value.remedy
    assert time.process_time() - start < SECONDS


def test_there_are_forty():
    assert len(BROKEN) >= 40


def test_two_surveys_mixed(tmp_path):
    star = NATIVE.apstar(tmp_path / "a.fits")
    other = NATIVE.lamost_lrs(tmp_path / "b.fits")
    with pytest.raises(DataError, match=r"b\.fits"):
        read_survey("apogee", [star, other])


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("size", [4, 8])
def test_byte_order_and_precision_do_not_matter(tmp_path, order, size):
    """FITS itself is big-endian; arrays of either order and precision are written as such and read as the same."""
    path = NATIVE.lamost_lrs(tmp_path / "a.fits")
    expected = read_survey("lamost_lrs", [path])
    data(0, lambda a: a.astype(f"{order}f{size}"))([path])
    found = read_survey("lamost_lrs", [path])
    np.testing.assert_array_equal(found.flux, expected.flux)
    np.testing.assert_allclose(found.wavelength, expected.wavelength)


VALUES = (0, -1, 1e30, -9999, "abc", "", True, False, 7.5, 2**31, 1e-30, "NaN")
"""What a broken card may hold."""

CONTENT = {
    "CRVAL1", "CDELT1", "CRPIX1", "CD1_1", "BC", "BARYEFF", "FWHM", "B", "HELIOV", "V_ERRCODE", "RVCOM", "RVCOM_OK",
    "WAV_OK", "MEANFIB", "BMAX", "GMIN", "GMAX", "RMIN", "SPEC_RES", "CONTNORM", "FLUXCAL", "SPECSYS", "CRVAL",
    "CDELT", "NPIXELS", "NEXP_B", "NEXP_R", "COMBIN_B", "COMBIN_R", "TFIELDS", "EXTNAME",
}  # fmt: skip
"""Cards that a reader takes wavelengths, widths or masks from; a plausible other value is another spectrum."""

STRUCTURE = (
    "SIMPLE", "XTENSION", "BITPIX", "NAXIS", "BSCALE", "BZERO", "BLANK", "PCOUNT", "GCOUNT", "TFORM", "TTYPE", "TSCAL",
    "TZERO", "TDIM", "TNULL", "TUNIT", "TUCD", "THEAP", "EXTEND", "ZIMAGE", "GROUPS",
)  # fmt: skip
"""Cards that say how bytes become numbers."""


def mutate(path, random):
    """Change a file at random; gives the cards that were changed, or None if any byte may have been."""
    content = path.read_bytes()
    kind = random.integers(6)
    if kind == 0:
        damaged = bytearray(content)
        for place in random.integers(len(content), size=random.integers(1, 20)):
            damaged[place] = random.integers(256)
        path.write_bytes(bytes(damaged))
    elif kind == 1:
        path.write_bytes(content[: random.integers(len(content))])
    elif kind == 2:
        block = 2880 * random.integers(len(content) // 2880)
        path.write_bytes(content[:block] + content[block + 2880 :])
    elif kind == 3:
        return spoil_card(path, content, random)
    else:
        with fits.open(path) as hdus:
            (spoil_data, spoil_order)[kind - 4](hdus, random)
            hdus.writeto(path, overwrite=True, output_verify="ignore")
    return None


def spoil_card(path, content, random):
    """Another value in a card, or blanks instead of it, in the bytes of the file: astropy would not write all."""
    with fits.open(path) as hdus:
        hdu = hdus[random.integers(len(hdus))]
        start, end = hdu._header_offset, hdu._data_offset
    places = [n for n in range(start, end, 80) if content[n + 8 : n + 10] == b"= "]
    place = places[random.integers(len(places))]
    name = content[place : place + 8].decode().strip()
    value = VALUES[random.integers(len(VALUES))]
    text = {str: f"'{value}'", bool: "T" if value is True else "F"}.get(type(value), str(value))
    new = " " * 80 if random.integers(4) == 0 else f"{name:<8}= {text:>20}".ljust(80)
    path.write_bytes(content[:place] + new.encode() + content[place + 80 :])
    return {name}


def spoil_data(hdus, random):
    images = [hdu for hdu in hdus if hdu.data is not None and hdu.data.dtype.names is None and hdu.data.size]
    if images:
        values = images[random.integers(len(images))].data.reshape(-1)
        part = slice(random.integers(values.size), None, random.integers(1, 9))
        bad = np.array([np.nan, np.inf, 0.0, -1.0, 1e38])[random.integers(5)]
        with np.errstate(invalid="ignore"):
            values[part] = bad if values.dtype.kind == "f" else 2**14
    return None


def spoil_order(hdus, random):
    if len(hdus) > 2:
        one, other = random.integers(1, len(hdus), size=2)
        hdus[one], hdus[other] = hdus[other], hdus[one]
    return None


def outcome(survey, paths, options):
    """Records, or None for an error of ours that names a file; any other exception is a failure."""
    start = time.process_time()
    try:
        return list(read_unit(survey, tuple(paths), options))
    except DataError as error:
        assert any(path.name in str(error) for path in paths) and error.remedy
        return None
    finally:
        assert time.process_time() - start < SECONDS


def same(one, other):
    return all(
        np.array_equal(getattr(one, n), getattr(other, n)) for n in ("wavelength", "flux", "ivar", "segment")
    )


def original(layout, make, folder, cache):
    """Survey, options, content of the files and what is read from them, made once."""
    if layout not in cache:
        folder.mkdir()
        name, paths, chosen = make(folder)
        survey = find_survey(name)
        options = make_options(survey, chosen)
        records = {record.id: record for record in read_unit(survey, tuple(paths), options)}
        cache[layout] = survey, options, {path.name: path.read_bytes() for path in paths}, records
    return cache[layout]


def try_mutation(seed, folder, survey, options, contents, before):
    """One mutation: an error of ours, or records that keep the rules; untouched numbers stay what they were."""
    random = np.random.default_rng(seed)
    paths = [folder / name for name in contents]
    for path in paths:
        path.write_bytes(contents[path.name])
    changed = mutate(paths[random.integers(len(paths))], random)
    records = outcome(survey, paths, options)
    if records is None:
        return "refused"
    for record in records:
        assert same(checked(record, paths[0]), record)
        old = before.get(record.id)
        if old is not None and len(old.wavelength) == len(record.wavelength):
            assert np.abs(record.wavelength / old.wavelength - 1).max() < 0.01
        touched = changed is None or changed & CONTENT or any(c.startswith(STRUCTURE) for c in changed)
        if old is not None and not touched:
            assert same(record, old), changed
    return "read"


def many(layouts, first, count, folder):
    results, cache, names = {"refused": 0, "read": 0}, {}, list(layouts)
    for seed in range(first, first + count):
        layout = names[seed % len(names)]
        made = original(layout, layouts[layout], folder / str(seed), cache)
        place = folder / "mutated"
        place.mkdir(exist_ok=True)
        try:
            results[try_mutation(seed, place, *made)] += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}, {layout}: {error!r}") from error
    return results


MADE = {name: NATIVE.LAYOUTS[name] for name in FITS_LAYOUTS}

REAL = {
    "apogee": ("apogee_dr17/apStar-dr17-2M19485057+5005279.fits", {}),
    "apogee ": ("apogee_dr13/apVisit-2M03434763+3209025-3.fits", {"lsf": "hermite"}),
    "galah": ("galah_dr3/131123003001096?.fits", {}),
    "galah ": ("galah_iraf6/210115000101001?.fits", {}),
    "lamost_lrs": ("lamost_lrs/spec-55859-F5902_sp03-232.fits.gz", {}),
    "lamost_lrs ": ("lamost_dr1/spec-55862-B6212_sp06-009.fits", {"line_errors": "neighbours"}),
    "lamost_mrs": ("lamost_laspec/med-58408-TD230151N343645T01_sp01-015.fits", {}),
    "miles": ("miles/MILES_res2.50_star_m0018V.fits", {}),
    "mastar": ("mastar/mastar-LOG-8047-9101.fits.gz", {"frame": "barycentric"}),
    "desi": ("desi/coadd-sv3-dark-26065.fits", {"targets": "all"}),
}
"""Native files by survey; blanks tell layouts of one survey apart."""


def real_layouts(observed):
    """Makers of real layouts: copies of native files, unzipped so that a changed byte is one of the spectrum."""

    def maker(survey, pattern, options):
        def make(folder):
            paths = []
            for path in sorted(observed.glob(pattern)):
                content = path.read_bytes()
                paths.append(folder / path.name.removesuffix(".gz"))
                paths[-1].write_bytes(gzip.decompress(content) if path.suffix == ".gz" else content)
            return survey.strip(), paths, options

        return make

    return {name: maker(name, *given) for name, given in REAL.items()}


def test_mutations(tmp_path):
    results = many(MADE, 0, 200, tmp_path)
    assert min(results.values()) > 40


def test_mutations_of_real_files(tmp_path, observed):
    results = many(real_layouts(observed), 0, 45, tmp_path)
    assert min(results.values()) > 5


@pytest.mark.slow
@pytest.mark.parametrize("part", range(7))
def test_many_mutations(tmp_path, part):
    assert min(many(MADE, 1000 + 200 * part, 200, tmp_path).values()) > 30


@pytest.mark.slow
@pytest.mark.parametrize("part", range(3))
def test_many_mutations_of_real_files(tmp_path, observed, part):
    assert min(many(real_layouts(observed), 1000 + 200 * part, 200, tmp_path).values()) > 30
