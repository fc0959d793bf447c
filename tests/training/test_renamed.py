"""Configurations with earlier names of settings."""

import logging

import pytest

from synth2obs.core.config_io import parse_config
from synth2obs.core.errors import ConfigError
from synth2obs.training.config import TrainConfig


def test_earlier_names_are_taken_and_told(caplog):
    with caplog.at_level(logging.WARNING, "synth2obs"):
        config = parse_config(TrainConfig, {"model": {"latent": 6, "rank": 8, "continuum_order": 3}})
    assert (config.decoder.latent, config.decoder.rank, config.continuum.order) == (6, 8, 3)
    assert "model.latent is called decoder.latent now" in caplog.text


def test_one_setting_by_two_names_is_refused():
    with pytest.raises(ConfigError, match=r"model\.latent and decoder\.latent are one setting"):
        parse_config(TrainConfig, {"model": {"latent": 6}, "decoder": {"latent": 7}})


@pytest.mark.parametrize("section", [{"model": {"speed": 3}}, {"model": 3}])
def test_what_never_was_is_unknown(section):
    with pytest.raises(ConfigError, match="unknown 'model'"):
        parse_config(TrainConfig, section)
