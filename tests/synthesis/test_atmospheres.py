"""Model atmospheres: exact where they are computed, linear between, refused outside."""

import gzip

import numpy as np
import pytest

from synth2obs.core.errors import DataError
from synth2obs.synthesis.atmospheres import STRUCTURE, AtmosphereGrid, convert_marcs, load_atmospheres
from synth2obs.synthesis.pysme import BOLTZMANN, model

TEFF, LOGG, FE_H = (4000.0, 5000.0, 6000.0), (2.0, 4.0), (-1.0, 0.0)
LAYERS = 3


def value(teff, logg, fe_h, layer, column):
    return teff / 1000.0 + 10.0 * logg - fe_h + 0.1 * layer + column


@pytest.fixture
def grid():
    axes = tuple(map(np.array, (TEFF, LOGG, FE_H)))
    mesh = np.meshgrid(*axes, np.arange(LAYERS), np.arange(len(STRUCTURE)), indexing="ij")
    return AtmosphereGrid(axes, value(*mesh))


@pytest.mark.parametrize(
    "point", [(4000.0, 2.0, -1.0), (5000.0, 4.0, 0.0), (6000.0, 4.0, -1.0), (5300.0, 2.5, -0.2)]
)
def test_exact_at_nodes_and_linear_between(grid, point):
    layers = grid.at(dict(zip(("teff", "logg", "fe_h"), point, strict=True))).layers
    for column, name in enumerate(STRUCTURE):
        np.testing.assert_allclose(layers[name], [value(*point, layer, column) for layer in range(LAYERS)])


@pytest.mark.parametrize("label, wrong", [("teff", 6001.0), ("logg", 1.9), ("fe_h", 0.1)])
def test_outside_is_refused(grid, label, wrong):
    labels = {"teff": 5000.0, "logg": 3.0, "fe_h": -0.5, label: wrong}
    with pytest.raises(DataError, match=f"^{label}: {wrong:g} lies outside .* narrow the range"):
        grid.at(labels)


def marcs(teff, logg, fe_h):
    rows = [f"{n + 1} -5.0 -4.9 0.0 {teff * 0.8 + n} 1.0e2 2.0e4 0 0" for n in range(2)]
    more = [f"{n + 1} -5.0 0.1 1.0e-8 1.3 0.0 0.0 5.0e-1" for n in range(2)]
    return "\n".join(
        ["a model", f" {teff} Teff [K].", "flux", f" {10.0**logg} gravity", "vturb", "mass"]
        + [f" {fe_h} 0.0 [Fe/H] [alpha/Fe]", " 2 Number of depth points", "Model structure", "k lgTauR ..."]
        + rows
        + ["k lgTauR KappaRoss ..."]
        + more
    )


@pytest.fixture
def text(tmp_path):
    def write(points):
        path = tmp_path / "models.gz"
        path.write_bytes(gzip.compress("\n".join(marcs(*point) for point in points).encode()))
        return path

    return write


def test_conversion_of_marcs_models(text, tmp_path):
    points = [(teff, logg, 0.0) for teff in (5000.0, 4000.0) for logg in (2.0, 3.0)]
    convert_marcs(text([*points, *[(t, g, -1.0) for t, g, _ in points]]), tmp_path / "marcs.npz")
    found = load_atmospheres(tmp_path / "marcs.npz").at({"teff": 4500.0, "logg": 2.0, "fe_h": -0.5})
    np.testing.assert_allclose(found.layers["temperature"], [3600.0, 3601.0])
    np.testing.assert_allclose(found.layers["gas_pressure"], np.log10(2.0e4))
    np.testing.assert_allclose(found.layers["column_mass"], np.log10(0.5))
    particles = model(found)
    np.testing.assert_allclose(
        (particles["xna"] + particles["xne"]) * BOLTZMANN * particles["temp"], 2.0e4, rtol=1e-6
    )


def test_models_that_leave_holes_are_refused(text, tmp_path):
    with pytest.raises(DataError, match="holds 3 models, and a full grid of .* would be 4"):
        convert_marcs(
            text([(5000.0, 2.0, 0.0), (4000.0, 2.0, 0.0), (4000.0, 3.0, 0.0)]), tmp_path / "marcs.npz"
        )


@pytest.mark.parametrize("content", [None, b"no archive", b"PK\x03\x04 cut off", b""])
def test_damaged_grid_says_to_install_again(tmp_path, content):
    path = tmp_path / "marcs.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match="install the engine again"):
        load_atmospheres(path)
