"""A survey that is added to a trained bridge leaves everything else as it was."""

import numpy as np
import pytest
import torch

import synth2obs as s2o
from synth2obs.core.errors import ConfigError, DataError, OutputError
from synth2obs.training.adapted import adaptation

EXTRA = ["data.max_stars=24", "evaluation.examples=1"]


@pytest.fixture(scope="module")
def adapted(trained, new_folder):
    out = new_folder("adapted")
    return s2o.adapt(trained.folder, "second", "embedded:stelib", out, EXTRA, progress=False), out


def test_the_bridge_knows_both(trained, adapted):
    bridge, _ = adapted
    old = s2o.load_bridge(trained.folder)
    assert bridge.surveys == (*old.surveys, "second")
    assert np.isfinite(s2o.morph(bridge, survey="second", labels={"teff": 5500.0}).flux).any()


def test_all_that_was_there_is_the_same_to_the_bit(trained, adapted):
    before, after = s2o.load_bridge(trained.folder), adapted[0]
    now = after.state_dict()
    for name, tensor in before.state_dict().items():
        assert torch.equal(torch.nan_to_num(tensor), torch.nan_to_num(now[name])), name
    survey = before.surveys[0]
    one, other = (s2o.morph(bridge, survey=survey, labels={"teff": 5500.0}) for bridge in (before, after))
    np.testing.assert_array_equal(one.flux, other.flux)


def test_the_new_survey_has_learned(trained, adapted):
    model = adapted[0].survey("second")
    assert float(model.width_scale_error) > 0 and bool((model.gap.scatter > 0).any())
    assert set(adapted[0].card["surveys"]) == {*s2o.load_bridge(trained.folder).surveys, "second"}
    assert adapted[0].card["adapted"]["second"]["config"]["data"]["surveys"] == {"second": "embedded:stelib"}


def test_its_report_is_there_and_a_second_call_changes_nothing(trained, adapted):
    out = adapted[1]
    assert (out / "report" / "second.html").is_file()
    before = (out / "bridge" / "bridge.safetensors").read_bytes()
    s2o.adapt(trained.folder, "second", "embedded:stelib", out, EXTRA, progress=False)
    assert (out / "bridge" / "bridge.safetensors").read_bytes() == before


def test_it_can_be_added_to_again(adapted, new_folder):
    bridge, out = adapted
    again = adaptation(out / "bridge", "third", "embedded:miles")
    assert again.data.surveys == {"third": "embedded:miles"} and "second" in bridge.surveys


def test_names_that_cannot_be(trained):
    known = s2o.load_bridge(trained.folder).surveys[0]
    with pytest.raises(ConfigError, match=f"knows '{known}' already"):
        adaptation(trained.folder / "bridge", known, "embedded:stelib")
    with pytest.raises(ConfigError, match="'my survey' cannot name a survey"):
        adaptation(trained.folder / "bridge", "my survey", "embedded:stelib")


def test_another_range_of_theory_is_refused(trained, tmp_path):
    with pytest.raises(DataError, match="data.start, data.stop: is not the grid"):
        s2o.adapt(
            trained.folder, "second", "embedded:stelib", tmp_path, [*EXTRA, "data.start=5100"], progress=False
        )


def test_its_own_folder_is_not_written_to(copy_of):
    before = (copy_of / "bridge" / "bridge.safetensors").read_bytes()
    with pytest.raises((ConfigError, OutputError)):
        s2o.adapt(copy_of, "second", "embedded:stelib", copy_of, EXTRA, progress=False)
    assert (copy_of / "bridge" / "bridge.safetensors").read_bytes() == before
