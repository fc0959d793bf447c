"""A decoder is as large as the grid bears, unless the settings say how large."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from synth2obs.core.errors import ConfigError
from synth2obs.io.embedded import resolve
from synth2obs.io.shard.read import read_shard
from synth2obs.io.shard.write import write_shard
from synth2obs.models.bundle import load_bundle
from synth2obs.training.config import TrainConfig
from synth2obs.training.run import read_config, train
from synth2obs.training.sizes import BEYOND_LABELS, sized


def grid(spectra, labels, gradients=None):
    """As much of a grid as counts, the first two spectra held out."""
    held_out = np.arange(spectra) < 2
    return SimpleNamespace(
        held_out=held_out, labels=range(labels), spectra=SimpleNamespace(gradients=gradients)
    )


def sizes(config, *about):
    found = sized(config, grid(*about), tell=False).decoder
    return found.latent, found.rank


@pytest.mark.parametrize("spectra", [12, 20, 62, 300, 1000])
@pytest.mark.parametrize("labels", [3, 4, 8, 31])
def test_a_grid_never_asks_for_more_than_it_bears(spectra, labels):
    latent, rank = sizes(TrainConfig(), spectra, labels)
    assert 4 <= latent <= min(32, labels + BEYOND_LABELS, spectra - 3)
    assert latent <= rank <= min(128, spectra - 2)


def test_a_large_grid_has_the_defaults(capsys):
    config = TrainConfig()
    assert sized(config, grid(1000, 31)) == config
    assert capsys.readouterr().err == ""


def test_what_is_said_stays():
    assert sizes(TrainConfig(decoder={"latent": 16}), 20, 3) == (16, 18)
    assert sizes(TrainConfig(decoder={"rank": 64}), 20, 3) == (7, 64)
    assert sizes(TrainConfig(decoder={"rank": 5}), 20, 3) == (5, 5)
    assert sizes(TrainConfig(decoder={"latent": 24}), 20, 3) == (24, 24)


def test_a_tiny_grid_trains_as_it_is_and_the_run_says_how(small, new_folder, tmp_path, keep_torch, capsys):
    spectra = read_shard(resolve("embedded:optical_grid"), rows=range(0, 940, 47))
    labels = {name: spectra.labels[name] for name in ("teff", "logg", "fe_h")}
    tiny = replace(spectra, labels=labels, label_errors={}, gradients=None)
    path = write_shard(tiny, tmp_path / "grid.h5")
    settings = [one for one in small if not one.startswith(("decoder.latent", "decoder.rank"))]
    config = read_config(None, [*settings, f"data.grid={path}"])
    with keep_torch():
        found = train(config, new_folder("tiny"))
    found.tracker.close("FINISHED")
    decoder = found.card["config"]["decoder"]
    assert decoder["latent"] == 7 and decoder["rank"] == int(found.state.kept.sum())
    assert f"decoder.latent=7, decoder.rank={decoder['rank']}, for a grid of" in capsys.readouterr().err
    assert load_bundle(found.bundle).decoder.latent == 7


def test_what_was_chosen_is_said(capsys):
    sized(TrainConfig(), grid(20, 3))
    assert capsys.readouterr().err == (
        "decoder.latent=7, decoder.rank=18, for a grid of 18 spectra to learn from and 3 labels\n"
    )


def test_more_latents_than_functions_are_refused():
    with pytest.raises(
        ConfigError, match=r"decoder.rank = 6 is below decoder.latent = 9; give decoder.rank=9"
    ):
        sized(TrainConfig(decoder={"latent": 9, "rank": 6}), grid(100, 3))
