"""Small valid tables, where the developers' real data lie, and ``own_grid_files`` importable by the tests beside it."""

import importlib.util
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Spectra
from synth2obs.io.shard.write import write_shard

sys.path.append(str(Path(__file__).parent))


def table(stars: int = 150, pixels: int = 40, kind: str = "survey", seed: int = 1) -> Spectra:
    """A valid table with every field, two detectors, and a bad pixel in each star."""
    random = np.random.default_rng(seed)
    ivar = random.uniform(1e3, 1e4, (stars, pixels)).astype(np.float32)
    ivar[np.arange(stars), np.arange(stars) % pixels] = 0.0
    survey = kind == "survey"
    return Spectra(
        domain="testing",
        kind=kind,
        wavelength=np.concatenate(
            [4000.0 + np.arange(pixels // 2), 3900.0 + np.arange(pixels - pixels // 2)]
        ),
        segment=np.repeat([0, 1], [pixels // 2, pixels - pixels // 2]).astype(np.int16),
        flux=random.uniform(0.5, 1.0, (stars, pixels)).astype(np.float32),
        ivar=ivar if survey else None,
        flags=random.integers(0, 2**32, (stars, pixels), dtype=np.uint32) if survey else None,
        flag_names={0: "BADPIX", 31: "ÜBER"},
        id=np.array([f"stär {number}" for number in range(stars)]),
        line_spread=LineSpread(
            sigma=random.uniform(0.5, 1.0, (2, pixels)),
            group=(np.arange(stars) % 2).astype(np.int32),
            hermite=random.normal(0, 0.03, (2, pixels, 3)).astype(np.float32),
        ),
        rv=random.normal(0, 50, stars),
        rv_error=np.full(stars, np.nan),
        snr=np.full(stars, 80.0),
        labels={"teff": random.uniform(4000, 7000, stars), "fe_h": random.normal(-0.3, 0.2, stars)},
        label_errors={"teff": np.full(stars, 100.0)},
        native={
            "file": np.array([f"Å{number}.fits" for number in range(stars)]),
            "mjd": np.arange(stars) + 0.5,
        },
        frame="barycentric",
        flux_kind="normalized",
        air_formula="Morton2000",
        provenance={"citation": ["Ångström 1868"], "sources": {"files": 1}},
    )


@pytest.fixture
def spectra() -> Spectra:
    return table()


@pytest.fixture
def tabulated() -> Spectra:
    """A table whose line spread is tabulated at seven offsets."""
    one, offset = table(), np.linspace(-3.0, 3.0, 7)
    kernel = np.exp(-0.5 * (offset / one.line_spread.sigma[..., None]) ** 2).astype(np.float32)
    spread = replace(one.line_spread, hermite=None, kernel=kernel, offset=offset)
    return replace(one, line_spread=spread)


@pytest.fixture
def grid_table() -> Spectra:
    return table(kind="grid")


@pytest.fixture
def shard(tmp_path: Path) -> Path:
    return write_shard(table(), tmp_path / "valid.h5")


@pytest.fixture
def own_pixels() -> Spectra:
    """A table in which each star has its own wavelengths."""
    one = table(stars=70)
    shift = np.arange(70)[:, None] * 1e-3
    return replace(one, wavelength=one.wavelength[None] + shift)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the original files, which are not part of the project."""
    beside = Path(__file__).parents[3] / "shared" / "data"
    folder = Path(os.environ.get("SYNTH2OBS_REAL_DATA", beside))
    if not (folder / "observed" / "miles").is_dir():
        pytest.skip(f"original survey files are not at {folder}; set SYNTH2OBS_REAL_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def native() -> ModuleType:
    """The module that writes native files of the surveys."""
    spec = importlib.util.spec_from_file_location("native_files", Path(__file__).with_name("native_files.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def observed(real_data: Path) -> Path:
    """Folder of the surveys' original files."""
    return real_data / "observed"
