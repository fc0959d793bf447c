"""A grid's file: the same whatever interrupted its making, band by band, with nothing lost."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from synth2obs.core.config_io import parse_config
from synth2obs.core.errors import DataError
from synth2obs.io.shard.read import read_shard
from synth2obs.synthesis import engines
from synth2obs.synthesis.assemble import assemble, collect, summary
from synth2obs.synthesis.build import Build, build_spectra
from synth2obs.synthesis.engine import SynthesisError, band_wavelengths
from synth2obs.synthesis.pixels import Pixels
from synth2obs.synthesis.recipe import Recipe
from synth2obs.synthesis.work import missing

LINES = (5010.0, 5020.5, 5044.0, 5205.0, 5231.0)
TREE = {
    "grid": {"domain": "toy", "spectra": 6, "title": "Toy"},
    "labels": {
        "ranges": {"teff": (4500.0, 6000.0), "logg": (3.0, 5.0), "fe_h": (-1.0, 0.0)},
        "elements": ["Mg"],
    },
    "sampling": {"name": "sobol"},
    "line_list": [{"file": "toy.lines", "medium": "air", "range": (4990.0, 5260.0)}],
    "spectrum": {"bands": [(5000.0, 5060.0), (5190.0, 5250.0)], "medium": "air", "step": 0.05},
    "output": {"resolving_power": 3000.0, "step": 1e-4},
    "gradients": {"points": [{"teff": 5000.0, "logg": 4.0, "fe_h": -0.5}]},
}


class Toy:
    """An engine with a few Gaussian lines whose depth follows [Fe/H] and [Mg/Fe]."""

    computed: list[float] = []
    fails_above = 1e9

    def __init__(self, config, spectrum, lists, cache):
        self.wavelength = np.concatenate(band_wavelengths(spectrum.bands, spectrum.steps))

    def spectrum(self, labels, folder):
        (folder / "proof").write_text("x")
        if labels["teff"] > self.fails_above:
            raise SynthesisError("no convergence")
        self.computed.append(labels["teff"])
        depth = 0.5 + 0.2 * labels["fe_h"] + 0.1 * labels["mg_fe"]
        lines = sum(np.exp(-0.5 * ((self.wavelength - centre) / 0.3) ** 2) for centre in LINES)
        return 1.0 - depth * lines

    def provenance(self):
        return {"engine": "toy"}


@pytest.fixture
def toy(monkeypatch):
    monkeypatch.setitem(engines.ENGINES, "turbospectrum", Toy)
    monkeypatch.setattr(Toy, "computed", [])
    return Toy


def make(out: Path, **changes) -> Build:
    return Build(parse_config(Recipe, {**TREE, **changes}), out)


def run(build: Build, tasks=None) -> None:
    tasks = [*build.spectra(), *build.points()] if tasks is None else tasks
    build_spectra(build, tasks, 2, lambda done, total: None)


def test_every_spectrum_in_order(toy, tmp_path):
    build = make(tmp_path / "a.h5")
    run(build)
    spectra = read_shard(assemble(build))
    assert list(spectra.id) == [*(f"toy_{n:06d}" for n in range(6)), "toy_point_000"]
    table = np.stack([spectra.labels[name] for name in build.recipe.labels.names], axis=1)
    np.testing.assert_allclose(table[:6], build.recipe.table())
    np.testing.assert_allclose(table[6], [5000.0, 4.0, -0.5, 0.0])
    assert spectra.provenance["spectra"] == "7 of 7"
    assert spectra.provenance["theory"] == {"engine": "toy"}


def test_file_is_the_same_whatever_interrupted_it(toy, tmp_path):
    whole, parts = make(tmp_path / "whole.h5"), make(tmp_path / "parts.h5")
    run(whole)
    tasks = [*parts.spectra(), *parts.points()]
    run(parts, tasks[:2])
    assemble(parts)
    # Another machine has the file and not the folder.
    shutil.rmtree(parts.folder)
    toy.computed.clear()
    run(parts)
    assert len(toy.computed) == len(tasks) - 2
    assert assemble(parts).read_bytes() == assemble(whole).read_bytes()


def test_nothing_is_computed_twice(toy, tmp_path):
    build = make(tmp_path / "a.h5")
    run(build)
    count = len(toy.computed)
    run(build)
    assert len(toy.computed) == count
    assert missing(build.spectra(), build.store) == []


def test_other_physics_counts_for_nothing(toy, tmp_path):
    build = make(tmp_path / "a.h5")
    run(build)
    assemble(build)
    other = make(tmp_path / "a.parts", engine={"solar_scale": "asplund2009"})
    assert len(missing(other.spectra(), other.store)) == 6
    assert len(other.todo(other.spectra())) == 6
    with pytest.raises(DataError, match="no spectrum"):
        collect(other)


def test_time_limit_is_no_physics(toy, tmp_path):
    assert make(tmp_path, engine={"time_limit": 7.0}).recipe.physics == make(tmp_path).recipe.physics


def test_bands_do_not_see_each_other(toy, tmp_path):
    build = make(tmp_path / "a.h5")
    run(build)
    spectra = collect(build)
    assert set(spectra.segment) == {0, 1}
    for number, band in enumerate(TREE["spectrum"]["bands"]):
        alone = make(tmp_path / f"{number}.parts", spectrum={**TREE["spectrum"], "bands": [band]})
        run(alone)
        inside = spectra.segment == number
        np.testing.assert_array_equal(collect(alone).flux, spectra.flux[:, inside])
        np.testing.assert_array_equal(collect(alone).wavelength, spectra.wavelength[inside])


def test_broadening_keeps_equivalent_widths(toy, tmp_path):
    build = make(tmp_path / "a.h5")
    run(build)
    spectra, inside = collect(build), slice(None)
    raw = build.store.read(build.spectra()[0])
    first = (
        np.concatenate(band_wavelengths(build.recipe.spectrum.bands, build.recipe.spectrum.steps)) < 5100.0
    )
    width = (1.0 - raw[first]).sum() * 0.05
    inside = spectra.segment == 0
    found = ((1.0 - spectra.flux[0, inside]) * spectra.wavelength[inside]).sum() * build.recipe.output.step
    assert found == pytest.approx(width, rel=1e-3)


def test_failures_are_listed_and_the_rest_goes_on(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(Toy, "fails_above", 5500.0)
    build = make(tmp_path / "a.h5")
    run(build)
    out = assemble(build)
    failed = [f"{n:06d}" for n, row in enumerate(build.recipe.table()) if row[0] > 5500.0]
    assert failed
    assert read_shard(out).provenance["failed"] == {name: "no convergence" for name in failed}
    text = "\n".join(summary(build))
    assert f"{7 - len(failed)} of 7" in text
    assert "no convergence" in text
    monkeypatch.setattr(Toy, "fails_above", 1e9)
    run(build)
    assert read_shard(assemble(build)).provenance["failed"] == {}


def test_band_narrower_than_the_line_spread_is_refused(toy, tmp_path):
    build = make(tmp_path, output={"resolving_power": 100.0, "step": 1e-3})
    with pytest.raises(DataError, match="widen the band"):
        Pixels.of(build.recipe)


def test_gradients_ends_are_one_step_away(toy, tmp_path):
    build = make(tmp_path)
    (point,) = build.points()
    for name, up, down in build.steps(point):
        step = 50.0 if name == "teff" else 0.1
        assert up.labels[name] - down.labels[name] == pytest.approx(2.0 * step)
        assert {k: v for k, v in up.labels.items() if k != name} == {
            k: v for k, v in point.labels.items() if k != name
        }


def test_gradients_are_written_and_read(toy, tmp_path):
    build = make(tmp_path / "a.h5")
    run(build, [*build.spectra(), *build.gradient_tasks()])
    spectra = read_shard(assemble(build))
    gradients = spectra.gradients
    assert list(spectra.id[gradients.index]) == ["toy_point_000"]
    assert gradients.steps == {"teff": 50.0, "logg": 0.1, "fe_h": 0.1, "mg_fe": 0.1}
    np.testing.assert_array_equal(gradients.values["teff"], 0.0)
    depth = 1.0 - spectra.flux[gradients.index[0]]
    # At [Fe/H] = -0.5 lines are 0.4 deep; 1 dex of iron deepens them by 0.2, of magnesium by 0.1.
    np.testing.assert_allclose(gradients.values["fe_h"][0], -0.5 * depth, atol=2e-4)
    np.testing.assert_allclose(gradients.values["mg_fe"][0], -0.25 * depth, atol=2e-4)


def test_gradients_of_the_file_are_taken_over(toy, tmp_path):
    build = make(tmp_path / "a.h5")
    run(build, build.gradient_tasks())
    first = assemble(build).read_bytes()
    shutil.rmtree(build.folder)
    assert build.todo(build.gradient_tasks()) == []
    assert assemble(build).read_bytes() == first
    other = make(tmp_path / "a.h5", gradients={**TREE["gradients"], "steps": {"mg_fe": 0.2}})
    assert len(other.todo(other.gradient_tasks())) == 8


def test_incomplete_gradients_are_left_out(toy, tmp_path):
    build = make(tmp_path / "a.h5")
    run(build, build.gradient_tasks()[:-1])
    assert collect(build).gradients is None
