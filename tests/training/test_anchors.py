"""The stage of stars of known labels: it learns a map and nothing else, from training stars alone."""

import numpy as np
import pytest
import torch

from synth2obs.core.errors import DataError
from synth2obs.models.checkpoint import load_tensors
from synth2obs.training.build import first_state
from synth2obs.training.run import read_config, stages_of
from synth2obs.training.stages.anchors import AnchorsConfig, AnchorsStage
from synth2obs.training.stages.critic import CriticStage

HEADER = "survey,id,teff,teff_error,logg,logg_error,fe_h,fe_h_error\n"


@pytest.fixture
def state(domains, small, trained, keep_torch):
    with keep_torch():
        config = read_config(None, small)
        state = first_state(config, domains)
        path = trained.folder / "checkpoints" / "critic.safetensors"
        CriticStage(state, config.critic).load(load_tensors(path)[0])
        yield state


def table_of(state, folder, part, shift=(100.0, 0.1, -0.1)):
    """Anchors whose known labels are those that the bridge finds, less a shift."""
    rows = []
    data = state.domains.surveys["miles"]
    found = state.bridge.scale.inverse(state.stars["miles"].x).numpy()
    columns = [state.bridge.labels.index(name) for name in ("teff", "logg", "fe_h")]
    for row, star in enumerate(data.spectra.id[data.rows(part)]):
        known = found[row % len(found)][columns] - np.array(shift)
        rows.append(f"miles,{star},{known[0]:.1f},50,{known[1]:.3f},0.05,{known[2]:.3f},0.03")
    path = folder / "anchors.csv"
    path.write_text(HEADER + "\n".join(rows) + "\n")
    return AnchorsConfig(table=str(path))


def test_only_the_map_of_a_survey_with_anchors_changes(state, tmp_path):
    before = {key: value.clone() for key, value in state.bridge.state_dict().items()}
    stage = AnchorsStage(state, table_of(state, tmp_path, "train"))
    assert stage.steps == 1 and stage.surveys == ["miles"]
    metrics = stage.step(0)
    after = state.bridge.state_dict()
    moved = {key for key in before if not torch.equal(before[key].nan_to_num(), after[key].nan_to_num())}
    assert moved <= {
        f"models.miles.label_map.{name}" for name in ("weight", "covariance", "scatter", "stars")
    }
    own = state.bridge.survey("miles").label_map
    assert own.known and metrics["miles/anchors"] == float(own.stars) >= 3
    assert torch.isfinite(own.weight).all() and (own.scatter >= 0).all()


def test_stars_that_are_kept_for_tests_teach_nothing(state, tmp_path):
    assert AnchorsStage(state, table_of(state, tmp_path, "test")).steps == 0


def test_ids_of_another_kind_are_refused(state, tmp_path):
    path = tmp_path / "anchors.csv"
    path.write_text(HEADER + "miles,HD 1,5000,50,3,0.1,0,0.1\n")
    with pytest.raises(DataError, match="no anchor of miles is in its shard.*write ids like"):
        AnchorsStage(state, AnchorsConfig(table=str(path)))


def test_without_a_table_there_is_no_such_stage(small):
    names = [stage.name for stage in stages_of(read_config(None, small))]
    assert "anchors" not in names and "critic" in names
    assert "critic" not in [stage.name for stage in stages_of(read_config(None, []))]
    assert stages_of(read_config(None, ["anchors.table=a.csv"]))[-1] is AnchorsStage
