"""Morphs of many stars, some at a time."""

import numpy as np
import pytest

import synth2obs
from synth2obs.analysis.seen import STARS
from synth2obs.core.errors import DataError
from synth2obs.io.blocks import read_block
from synth2obs.io.shard.write import write_shard

FIELDS = ("flux", "flux_theory", "gap", "gap_error", "emulator_error", "distance", "latent", "flags")
COUNT = 3 * STARS + 5


@pytest.fixture(scope="module")
def given(labels_of, by_name):
    """Labels, velocities and rotations of some stars, one of them outside the grid."""
    labels = labels_of(COUNT, seed=4)
    labels[7, 0] = 9000.0
    random = np.random.default_rng(1)
    return {
        "labels": by_name(labels),
        "rv": random.normal(0, 50, COUNT),
        "vsini": np.where(random.uniform(size=COUNT) < 0.1, 60.0, 0.0),
        "survey": "far",
    }


@pytest.mark.parametrize("batch", [64, 100, 128, 10_000])
def test_they_are_those_of_all_at_once_to_the_bit(bridge, given, batch):
    whole = synth2obs.morph(bridge, **given)
    batches = synth2obs.morph_batches(bridge, **given, batch=batch)
    assert len(batches) == COUNT
    parts = list(batches)
    assert max(len(part.flux) for part in parts) <= max(batch, 64)
    for name in FIELDS:
        together = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(together, getattr(whole, name), err_msg=name)
    assert sum((part.outside for part in parts), ()) == whole.outside


def test_they_are_written_as_they_come(bridge, given, tmp_path):
    whole = synth2obs.morph(bridge, **given)
    out = tmp_path / "many.h5"
    written = synth2obs.morph_batches(bridge, **given, batch=64).write(out, emulator_error=True)
    found = read_block(out)
    for name in (*FIELDS, "wavelength"):
        np.testing.assert_array_equal(found[name], getattr(whole, name), err_msg=name)
    assert list(found["outside"]) == [", ".join(names) for names in whole.outside]
    np.testing.assert_array_equal(found["labels/teff"], whole.labels["teff"])
    assert written.outside[7] == ("teff",) and (written.flags == whole.flags).all()
    np.testing.assert_array_equal(read_block(out, slice(3, 6))["flux"], whole.flux[3:6])


def test_spectra_of_a_shard_come_in_batches(bridge, stars_of, labels_of, tmp_path):
    stars = stars_of("near", bridge.predict(labels_of(70, share=0.5), "near"), snr=200)
    shard = write_shard(stars, tmp_path / "near.h5")
    options = {"source": "near", "survey": "far", "rv": np.linspace(-20, 20, 70)}
    whole = synth2obs.morph(bridge, spectrum=shard, **options)
    for spectrum in (shard, stars):
        batches = synth2obs.morph_batches(bridge, spectrum=spectrum, **options, batch=64)
        flux = np.concatenate([part.flux for part in batches])
        assert len(batches) == 70
        np.testing.assert_allclose(flux, whole.flux, atol=1e-4)


def test_what_cannot_be_is_said_before_anything_is_computed(bridge, given, tmp_path):
    for changes, words in (
        ({"batch": 10}, "batch"),
        ({"rv": [1.0, 2.0]}, "rv"),
        ({"labels": None}, "labels= or spectrum="),
        ({"labels": {"teff": []}}, "no star"),
    ):
        with pytest.raises(DataError, match=words):
            synth2obs.morph_batches(bridge, **{**given, **changes})
    batches = synth2obs.morph_batches(bridge, **given)
    next(batches)
    with pytest.raises(DataError, match="taken already"):
        batches.write(tmp_path / "many.h5")


def test_more_than_memory_is_for_is_refused(bridge, monkeypatch):
    with pytest.raises(DataError, match="GiB; ask for fewer"):
        synth2obs.generate(bridge, "far", 10**12)
    monkeypatch.setattr("synth2obs.analysis.seen.LARGEST", 1e6)
    with pytest.raises(DataError, match="GiB; use morph_batches"):
        synth2obs.morph(bridge, survey="far", labels={"teff": np.full(10_000, 5000.0)})
