from pathlib import Path

import numpy as np
import pytest

from synth2obs.core.constants import C_KMS
from synth2obs.core.errors import ConfigError, DataError
from synth2obs.core.wavelengths import log_step
from synth2obs.io.embedded import EMBEDDED, embedded_path, resolve, same_stars
from synth2obs.io.recipes import build, read_recipe
from synth2obs.io.shard.check import check_shard
from synth2obs.io.shard.read import read_shard

RECIPES = {
    "miles": ("miles_sample", "observed"),
    "stelib": ("stelib_sample", "observed"),
}
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tables():
    return {name: read_shard(embedded_path(name)) for name in EMBEDDED}


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_shards_are_valid_and_attributed(name, tables):
    assert check_shard(embedded_path(name)) == []
    provenance = tables[name].provenance
    made_of = {"theory", "recipe"} if name == "optical_grid" else {"sources", "rounding", "recipe"}
    assert {"citation", "licence"} | made_of <= set(provenance)
    assert 3600 <= tables[name].wavelength.min() and tables[name].wavelength.max() <= 7402


def test_they_are_small():
    folder = embedded_path("miles").parent
    assert embedded_path("optical_grid").stat().st_size < 15e6
    assert sum(path.stat().st_size for path in folder.iterdir()) < 22e6


def test_grid(tables):
    grid = tables["optical_grid"]
    assert grid.kind == "grid" and len(grid) >= 900 and len(grid.labels) == 31
    assert grid.gradients is not None and len(grid.gradients) == 8
    assert list(grid.labels)[:4] == ["teff", "logg", "fe_h", "vmic"]
    assert 1 / 6000 / log_step(grid.wavelength) >= 2
    np.testing.assert_allclose(grid.wavelength / grid.line_spread.sigma[0] / 2.3548, 6000, rtol=1e-4)
    assert 0 < grid.flux.min() and grid.flux.max() < 1.01


def test_surveys(tables):
    for name, least in (("miles", 300), ("stelib", 120)):
        teff = tables[name].labels["teff"]
        assert ((teff >= 4000) & (teff <= 7500)).sum() >= least
        assert (tables[name].ivar > 0).mean() > 0.9
    assert tables["miles"].shared_wavelength and not tables["stelib"].shared_wavelength


def test_same_stars_are_in_both_and_look_alike(tables):
    miles, stelib = tables["miles"], tables["stelib"]
    matches = same_stars()
    assert len(matches) >= 95
    assert set(matches) <= set(miles.id) and set(matches.values()) <= set(stelib.id)
    teff = [
        (miles.labels["teff"][miles.id == one][0], stelib.labels["teff"][stelib.id == other][0])
        for one, other in matches.items()
    ]
    first, second = np.array([pair for pair in teff if np.isfinite(pair).all() and pair[0] < 7500]).T
    assert np.median(np.abs(first - second)) < 150


def centre(wavelength, flux, line):
    near = np.abs(wavelength - line) < 6
    depth = np.clip(np.percentile(flux[near], 95) - flux[near], 0, None) ** 2
    return (wavelength[near] * depth).sum() / depth.sum() if depth.any() else np.nan


@pytest.mark.parametrize(("name", "limit"), [("optical_grid", 2), ("miles", 6), ("stelib", 20)])
def test_h_alpha_is_at_its_vacuum_wavelength(name, limit, tables):
    """In air it would be 82 km/s away; STELIB's own scale is 13 km/s off there."""
    spectra = tables[name]
    teff = spectra.labels["teff"]
    warm = np.nonzero((teff > 5500) & (teff < 7000))[0]
    pixels = [spectra.wavelength if spectra.shared_wavelength else spectra.wavelength[row] for row in warm]
    found = [centre(w, spectra.flux[row], 6564.61) for w, row in zip(pixels, warm, strict=True)]
    assert np.isfinite(found).sum() > 20
    assert abs(np.nanmedian(found) / 6564.61 - 1) * C_KMS < limit


def test_resolve():
    assert resolve("embedded:miles") == embedded_path("miles")
    assert resolve("a/b.h5") == Path("a/b.h5")
    with pytest.raises(DataError, match="miles, optical_grid, same_stars, stelib"):
        resolve("embedded:hubble")


def test_recipe_without_source(tmp_path):
    path = tmp_path / "recipe.toml"
    path.write_text("[grid]\nstart = 3600\n")
    with pytest.raises(ConfigError, match="source"):
        read_recipe(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_recipe_gives_the_embedded_content_again(name, tables, real_data):
    folder, source = RECIPES[name]
    again = build(read_recipe(ROOT / "grids" / folder / "recipe.toml"), real_data / source)
    for field in ("wavelength", "flux", "ivar", "id"):
        np.testing.assert_array_equal(getattr(again, field), getattr(tables[name], field))
    assert again.provenance == tables[name].provenance
