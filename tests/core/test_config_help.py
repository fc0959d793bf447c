"""Settings, explained."""

import pytest

from synth2obs.core.config_help import explained
from synth2obs.core.errors import ConfigError
from synth2obs.training.config import TrainConfig


def test_a_key_has_default_type_limits_and_description():
    (one,) = explained(TrainConfig, "gap.iterations")
    assert (one.default, one.kind, one.limits) == (2, "int", ("at least 1",))
    assert str(one).splitlines()[0] == "gap.iterations = 2" and "rounds of labels" in str(one)


def test_a_section_is_all_its_keys():
    found = [one.key for one in explained(TrainConfig, "theory")]
    assert found == ["theory.steps", "theory.learning_rate", "theory.spectra"]


def test_keys_of_other_entries_of_a_registry_say_whose_they_are():
    whole = {one.key: one for one in explained(TrainConfig, "emulator")}
    assert whole["emulator.length"].choice == "kernel" and not whole["emulator.core"].choice
    assert whole["emulator.name"].kind == "one of process, kernel, quadratic"


@pytest.mark.parametrize(
    "key, near", [("gap.iteration", "gap.iterations"), ("gpa", "gap"), ("steps", "theory.steps")]
)
def test_a_typo_is_answered_with_near_names(key, near):
    with pytest.raises(ConfigError, match=f"unknown setting {key!r}; did you mean .*{near}"):
        explained(TrainConfig, key)


def test_every_setting_is_explained():
    found = [one for key in TrainConfig.model_fields for one in explained(TrainConfig, key)]
    assert len(found) > 60 and all(one.description for one in found)
