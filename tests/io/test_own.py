import numpy as np
import pytest
from astropy.io import fits

from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.errors import DataError
from synth2obs.io.air import air_to_vacuum
from synth2obs.io.surveys import read_survey


@pytest.fixture
def describe(native, tmp_path):
    """A function that writes a description with changed or removed (None) lines and gives its path."""

    def write(**changes):
        lines = [line for line in native.DESCRIPTION.splitlines() if line.split(" = ")[0] not in changes]
        lines += [f"{key} = {value}" for key, value in changes.items() if value is not None]
        path = tmp_path / "mine.toml"
        path.write_text("\n".join(lines))
        return str(path)

    return write


@pytest.fixture
def star(native, tmp_path):
    return native.own_table(tmp_path / "HD 1.csv")


def columns(path):
    return np.loadtxt(path, delimiter=",", skiprows=1, unpack=True)


def test_a_text_table(describe, star):
    spectra = read_survey(describe(), [star])
    wave, flux, sigma = columns(star)
    assert spectra.domain == "mine" and spectra.id.tolist() == ["HD 1"]
    np.testing.assert_allclose(spectra.wavelength, air_to_vacuum(10 * wave))
    np.testing.assert_allclose(spectra.flux[0], flux, rtol=1e-6)
    np.testing.assert_allclose(spectra.ivar[0], sigma**-2, rtol=1e-6)
    np.testing.assert_allclose(spectra.wavelength / spectra.line_spread.sigma[0] / FWHM_PER_SIGMA, 20000)
    assert (spectra.frame, spectra.flux_kind, spectra.air_formula) == (
        "barycentric",
        "normalized",
        "Morton2000",
    )
    assert spectra.provenance["description"]["medium"] == "air"


def fits_file(path, kind, header=None):
    wave = np.linspace(4000.0, 4100.0, 300)[:: -1 if kind == "falling" else 1]
    flux, ivar, bad = np.linspace(1, 2, 300), np.full(300, 4.0), np.zeros(300, np.int16)
    bad[5] = 3
    arrays = {"WAVE": wave, "FLUX": flux, "IVAR": ivar, "MASK": bad}
    primary = fits.PrimaryHDU()
    primary.header.update(header or {})
    if kind == "images":
        hdus = [primary, *(fits.ImageHDU(data, name=name) for name, data in arrays.items())]
    else:
        cells = {name: data[None] if kind == "vectors" else data for name, data in arrays.items()}
        form = {
            name: f"{300 if kind == 'vectors' else ''}{'I' if name == 'MASK' else 'D'}" for name in arrays
        }
        hdus = [
            primary,
            fits.BinTableHDU.from_columns([fits.Column(n, form[n], array=a) for n, a in cells.items()]),
        ]
    fits.HDUList(hdus).writeto(path)
    return path


FITS_KEYS = {
    "wavelength": '"WAVE"',
    "flux": '"FLUX"',
    "error": None,
    "ivar": '"IVAR"',
    "unit": '"Angstrom"',
    "medium": '"vacuum"',
    "mask": '"MASK"',
}


@pytest.mark.parametrize("kind", ["rows", "vectors", "images", "falling"])
def test_fits_of_every_kind(describe, tmp_path, kind):
    path = fits_file(tmp_path / "a.fits", kind, {"OBJECT": "HD 7", "VELOCITY": -12.5, "TEFF": 5000})
    keys = FITS_KEYS | {"id": '"OBJECT"', "rv": '"VELOCITY"', "labels": '{ teff = "TEFF" }'}
    spectra = read_survey(describe(**keys), [path])
    assert spectra.id.tolist() == ["HD 7"] and spectra.rv[0] == -12.5 and spectra.labels["teff"] == [5000.0]
    np.testing.assert_allclose(spectra.wavelength, np.linspace(4000, 4100, 300))
    bad = 294 if kind == "falling" else 5
    assert np.nonzero(spectra.ivar[0] == 0)[0].tolist() == [bad]
    assert (np.diff(spectra.flux[0][np.arange(300) != bad]) > 0).all() == (kind != "falling")


def test_detectors_scale_and_widths(describe, tmp_path):
    path = tmp_path / "a.csv"
    rows = [(w, 2.0, 0.5, 0.1, n) for n, start in ((3, 5000.0), (1, 4000.0)) for w in start + np.arange(50.0)]
    path.write_text("wave,flux,sigma,width,ccd\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    keys = {
        "unit": '"Angstrom"',
        "medium": '"vacuum"',
        "segment": '"ccd"',
        "sigma": '"width"',
        "resolving_power": None,
    }
    spectra = read_survey(describe(**keys, flux_scale="10.0"), [path])
    assert spectra.segment.tolist() == [0] * 50 + [1] * 50 and spectra.wavelength[0] == 4000
    assert (
        (spectra.flux == 20).all()
        and np.allclose(spectra.ivar, 1 / 25)
        and (spectra.line_spread.sigma == 0.1).all()
    )
    np.testing.assert_allclose(
        read_survey(describe(**keys | {"sigma": None, "fwhm": "0.3"}), [path]).line_spread.sigma,
        0.3 / FWHM_PER_SIGMA,
    )


def test_shorter_spectra_are_filled_up(native, describe, tmp_path):
    paths = [native.own_table(tmp_path / f"{n}.csv", pixels=n) for n in (1500, 1600)]
    with pytest.raises(DataError, match=r"1600\.csv: pixels: 1600, but 1500\.csv has 1500"):
        read_survey(describe(), paths)
    spectra = read_survey(describe(pixels="1600"), paths)
    assert (spectra.ivar[0, 1500:] == 0).all() and (spectra.ivar[1] > 0).all()
    with pytest.raises(DataError, match="more than 1550"):
        read_survey(describe(pixels="1550"), paths)


@pytest.mark.parametrize(
    ("unit", "factor"), [('"um"', 1e-3), ('"Angstrom"', 10.0), ('"log10(Angstrom)"', None)]
)
def test_units(describe, tmp_path, unit, factor):
    wave = np.linspace(648.0, 664.0, 50)
    values = np.log10(10 * wave) if factor is None else wave * factor
    path = tmp_path / "a.csv"
    path.write_text("wave,flux,sigma\n" + "".join(f"{v!r},1.0,0.1\n" for v in values.tolist()))
    spectra = read_survey(describe(unit=unit, medium='"vacuum"'), [path])
    np.testing.assert_allclose(spectra.wavelength, 10 * wave, rtol=1e-12)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"medium": None}, r"missing \['medium'\]"),
        ({"medium": '"water"'}, "medium: got 'water'"),
        ({"frame": '"galactic"'}, "frame: got 'galactic'"),
        ({"colour": '"red"'}, r"unknown \['colour'\]"),
        ({"error": None}, "error: the errors must be said once"),
        ({"ivar": '"x"'}, "error: the errors must be said once, got"),
        ({"resolving_power": None}, "line spread must be said once"),
        ({"fwhm": "0.2"}, "line spread must be said once"),
        ({"resolving_power": "-3"}, "resolving_power: is -3"),
        ({"resolving_power": '"high"'}, "resolving_power: is 'high'"),
        ({"name": "7"}, "name: is 7"),
        ({"labels": "{ teff = 5000 }"}, "labels: must name header cards"),
        ({"unit": '"kg"'}, "unit: got 'kg', which is no length"),
        ({"unit": '"Angstrom"'}, "wavelength: .*648"),
        ({"flux": '"FLUX"'}, "FLUX: no such column; there are wave, flux, sigma"),
        ({"id": '"OBJECT"'}, "OBJECT: holds no name"),
        ({"name": "["}, "cannot be read"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_what_a_description_must_say(describe, star, changes, words):
    with pytest.raises(DataError, match=words):
        read_survey(describe(**changes), [star])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("not a table", "no such column|neither FITS nor a text table"),
        ("wave,flux,sigma\n648.0,a,0.1\n648.1,1,0.1\n", "flux: holds something that is no number"),
        ("wave,flux,sigma\n648.0,1,0.1\n", "lengths"),
        ("wave,flux,sigma\n648.0,1,0.1\n648.2,1,0.1\n648.1,1,0.1\n", "wavelength: does not increase"),
        ("wave,flux,sigma\n648.0,nan,0.1\n648.2,1,-1\n", "ivar: has no good pixel"),
        ("wave,flux,sigma\nnan,1,0.1\n648.2,1,0.1\n", "wavelength: "),
    ],
)
def test_tables_that_cannot_be_used(describe, tmp_path, text, words):
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=rf"bad\.csv.*({words})"):
        read_survey(describe(), [path])


def test_the_description_of_a_grid_belongs_to_another_command(tmp_path):
    (tmp_path / "grid.toml").write_text('name = "mine"\nformat = "npz"\nfiles = "grid.npz"\n')
    words = "describes a theoretical grid, not a survey; write `synth2obs grid join .*grid.toml -o grid.h5`"
    with pytest.raises(DataError, match=words):
        read_survey(str(tmp_path / "grid.toml"), ["grid.npz"])


def test_cards_are_carried_along(describe, tmp_path):
    path = fits_file(tmp_path / "a.fits", "rows", {"FIBERID": 17, "DATE-OBS": "2024-01-02", "GAIA": 2**60})
    metadata = '{ fibre = "FIBERID", night = "DATE-OBS", gaia = "GAIA", seeing = "SEEING" }'
    native = read_survey(describe(**FITS_KEYS, metadata=metadata), [path]).native
    assert native["fibre"] == [17.0] and native["night"] == ["2024-01-02"] and native["gaia"] == [str(2**60)]
    assert "seeing" not in native
