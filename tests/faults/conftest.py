"""A bridge that was really trained, some real stars, and what it says of them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

import synth2obs
from synth2obs.core.errors import Synth2ObsError
from synth2obs.core.spectra import Spectra
from synth2obs.io.embedded import embedded_path
from synth2obs.io.reduce import cut_wavelengths
from synth2obs.io.shard.read import read_shard
from synth2obs.models.bridge import Bridge

STARS, SURVEY = 9, "miles"


@dataclass(frozen=True)
class Scene:
    """What faults are made of."""

    bridge: Bridge
    stars: Spectra

    def latents(self, stars: Any, **options: Any) -> np.ndarray:
        """What `encode` finds, shape (N, D)."""
        return synth2obs.encode(self.bridge, stars, SURVEY, **options).mean

    def changed(self, **changes: Any) -> np.ndarray:
        """What it finds of stars with other fields."""
        return self.latents(replace(self.stars, **changes))


@pytest.fixture(scope="session")
def scene(trained) -> Scene:
    bridge = synth2obs.load_bridge(trained.folder / "bridge")
    stars = cut_wavelengths(read_shard(embedded_path(SURVEY), slice(0, 60)), 5010.0, 5290.0)
    known = (stars.labels["teff"] > 4500) & (stars.labels["teff"] < 6500) & (stars.ivar > 0).all(1)
    chosen = stars.take(np.flatnonzero(known)[:STARS])
    level = np.median(chosen.flux, axis=1, keepdims=True)
    plain = dict(flux=chosen.flux / level, ivar=chosen.ivar * level**2, flags=None)
    return Scene(bridge, replace(chosen, **plain))


@pytest.fixture(scope="session")
def expected(scene) -> np.ndarray:
    """What `encode` finds of the stars as they are."""
    return scene.latents(scene.stars)


@pytest.fixture
def refused() -> Callable[..., None]:
    """Assert that a call ends in an error of our own, whose message has some words."""

    def check(call: Callable[[], Any], words: str = "") -> None:
        with pytest.raises(Synth2ObsError, match=words or None) as caught:
            call()
        assert len(str(caught.value)) > 10

    return check


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
