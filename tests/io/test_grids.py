import h5py
import numpy as np
import pytest

from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.core.errors import DataError
from synth2obs.core.wavelengths import log_grid, log_step
from synth2obs.io.air import air_to_vacuum
from synth2obs.io.grids import broaden_grid, broadening_matrix, read_raw_grid
from synth2obs.io.shard.check import check_shard
from synth2obs.io.shard.write import write_shard

R, STEP = 6000.0, 7.9e-5
AIR = 5000.0 + 0.05 * np.arange(2001)


def line(wavelength, centre, sigma, depth=0.6):
    return 1 - depth * np.exp(-0.5 * ((wavelength - centre) / sigma) ** 2)


@pytest.fixture
def raw(tmp_path):
    path = tmp_path / "theory.h5"
    vacuum = air_to_vacuum(AIR)
    flux = np.stack([line(vacuum, 5040.0 + 0.5 * n, 0.3) for n in range(20)])
    with h5py.File(path, "w") as file:
        file["wavelength"], file["flux"] = AIR, flux.astype(np.float16)
        file["labels"] = np.column_stack([np.linspace(4000, 7000, 20), np.zeros(20)])
        file["label_names"] = np.array([b"teff", b"mg_fe"])
        file["index"] = np.arange(20) * 3
        file.attrs.update({"medium": "air", "engine": "an engine"})
    return path


@pytest.fixture
def matrix():
    vacuum = air_to_vacuum(AIR)
    pixels = log_grid(5005.0, 5098.0, STEP)
    return vacuum, pixels, broadening_matrix(vacuum, pixels, R, STEP)


def test_flat_stays_flat(matrix):
    vacuum, _, weights = matrix
    np.testing.assert_allclose(weights @ np.ones(len(vacuum)), 1.0, rtol=1e-13)


def test_equivalent_width_and_centre_are_kept(matrix):
    vacuum, pixels, weights = matrix
    centre, sigma = 5050.123, 0.2
    depth = 1 - weights @ line(vacuum, centre, sigma)
    expected = 0.6 * sigma * np.sqrt(2 * np.pi)
    assert (depth * pixels * STEP).sum() == pytest.approx(expected, rel=1e-5)
    assert (depth * pixels**2).sum() / (depth * pixels).sum() == pytest.approx(centre, abs=1e-3)


def test_width_is_that_of_the_resolving_power_pixels_included(matrix):
    vacuum, pixels, weights = matrix
    depth = 1 - weights @ line(vacuum, 5050.0, 0.1, depth=0.2)
    x = np.log(pixels / 5050.0)
    mean = (depth * x).sum() / depth.sum()
    variance = (depth * (x - mean) ** 2).sum() / depth.sum()
    # The second moment of a pixel-integrated line counts the pixel once.
    expected = (1 / R / FWHM_PER_SIGMA) ** 2 + (0.1 / 5050.0) ** 2
    assert variance == pytest.approx(expected, rel=2e-3)


def test_agrees_with_naive_convolution(matrix):
    vacuum, pixels, weights = matrix
    x = np.log(vacuum)
    raw = line(vacuum, 5050.0, 0.15) * line(vacuum, 5051.0, 0.1)
    width = np.sqrt((1 / R / FWHM_PER_SIGMA) ** 2 - STEP**2 / 12)
    for pixel in (60, 111, 113, 116):
        offsets = np.log(pixels[pixel]) + STEP * ((np.arange(2001) + 0.5) / 2001 - 0.5)
        kernel = np.exp(-0.5 * ((x - offsets[:, None]) / width) ** 2) * np.gradient(x)
        naive = ((kernel @ raw) / kernel.sum(axis=1)).mean()
        assert (weights @ raw)[pixel] == pytest.approx(naive, abs=1e-8)


def test_refuses_to_extrapolate():
    vacuum = air_to_vacuum(AIR)
    with pytest.raises(DataError, match="stay within 5003"):
        broadening_matrix(vacuum, log_grid(vacuum[0], 5090.0, STEP), R, STEP)


def test_grid_is_a_valid_shard(raw, tmp_path):
    grid = broaden_grid(read_raw_grid(raw), start=5005.0, stop=5095.0, resolving_power=R, step=STEP)
    assert check_shard(write_shard(grid, tmp_path / "grid.h5")) == []
    assert log_step(grid.wavelength) == pytest.approx(STEP)
    assert list(grid.labels) == ["teff", "mg_fe"] and grid.id[1] == "theory_00003"
    assert grid.air_formula == "Morton2000" and grid.ivar is None
    assert grid.provenance["theory"]["engine"] == "an engine"
    centres = grid.wavelength[grid.flux.argmin(axis=1)]
    np.testing.assert_allclose(centres, 5040.0 + 0.5 * np.arange(20), atol=0.25)


def test_undersampled_grid_is_refused(raw):
    with pytest.raises(ValueError, match="two pixels per FWHM"):
        broaden_grid(read_raw_grid(raw), start=5005.0, stop=5095.0, resolving_power=R, step=1e-4)


@pytest.mark.parametrize("name", ["wavelength", "flux", "labels", "label_names", "index"])
def test_missing_dataset(raw, name):
    with h5py.File(raw, "r+") as file:
        del file[name]
    with pytest.raises(DataError, match=name):
        read_raw_grid(raw)


def test_medium_is_never_guessed(raw):
    with h5py.File(raw, "r+") as file:
        del file.attrs["medium"]
    with pytest.raises(DataError, match="never guessed"):
        read_raw_grid(raw)


def test_shapes_must_agree(raw):
    with h5py.File(raw, "r+") as file:
        del file["index"]
        file["index"] = np.arange(19)
    with pytest.raises(DataError, match="must have shapes"):
        read_raw_grid(raw)
