"""One pattern for names, checked where they are given and not after hours."""

import h5py
import pytest

from synth2obs.core.errors import ConfigError, DataError
from synth2obs.core.names import is_name, name_problem, suggestion
from synth2obs.io.embedded import resolve
from synth2obs.io.shard.check import check_shard
from synth2obs.io.surveys.own import own_survey
from synth2obs.training.run import read_config

GOOD = ["miles", "lamost_lrs", "DR19-optical", "4most", "a" * 64]
BAD = {
    "my survey": "my_survey",
    "hot+cool": "hot_cool",
    "v1.2": "v1_2",
    "a/b": "a_b",
    "": "",
    "-x": "x",
    "Sp\u00e4tprogramm": "Sp_tprogramm",
    "a\nb": "a_b",
    "a" * 65: "a" * 64,
}


@pytest.mark.parametrize("name", GOOD)
def test_names(name):
    assert is_name(name) and name_problem(name) == ""


@pytest.mark.parametrize("name", BAD)
def test_what_is_none_gets_a_suggestion(name):
    assert not is_name(name) and suggestion(name) == BAD[name]
    assert "letters, digits" in name_problem(name)


@pytest.mark.parametrize("name", [name for name in BAD if name])
def test_a_configuration_is_refused_before_anything_is_read(name, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        f"[data.surveys]\n{name!a} = 'nowhere.h5'\n".replace("\\xe4", "\\u00e4").replace("'", '"')
    )
    with pytest.raises(ConfigError, match="cannot name a survey"):
        read_config(path)


@pytest.mark.parametrize("name", ["my model", "a.b", "x/y"])
def test_a_models_name_too(name):
    with pytest.raises(ConfigError, match="model_name"):
        read_config(None, [f'model_name="{name}"'])


def test_a_description_of_a_survey(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "hot+cool"\nwavelength = "w"\nflux = "f"\nunit = "Angstrom"\nmedium = "air"\nframe = "rest"\n'
        'flux_kind = "relative"\nerror = "e"\nfwhm = 2.0\n'
    )
    with pytest.raises(DataError, match=r"'hot\+cool' cannot name a survey.*hot_cool"):
        own_survey(path)


def test_check_names_it(tmp_path):
    path = tmp_path / "shard.h5"
    path.write_bytes(resolve("embedded:stelib").read_bytes())
    with h5py.File(path, "r+") as file:
        file.attrs["domain"] = "my survey"
    (found,) = check_shard(path)
    assert found.field == "domain" and "my_survey" in found.remedy
