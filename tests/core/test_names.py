"""One pattern for names, checked where they are given and not after hours."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from synth2obs.core.errors import ConfigError, DataError
from synth2obs.core.labels import KNOWN
from synth2obs.core.names import (
    is_name,
    label_problem,
    label_suggestion,
    name_problem,
    part_problem,
    suggestion,
)
from synth2obs.io.embedded import resolve
from synth2obs.io.own_grids.label_rules import refuse_unknown
from synth2obs.io.shard.check import check_shard
from synth2obs.io.shard.read import read_shard
from synth2obs.io.shard.write import write_shard
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


LABELS = {
    "[Fe/H]": "fe_h",
    "[M/H]": "fe_h",
    "fe/h": "fe_h",
    "[alpha/Fe]": "alpha_fe",
    "[C/M]": "c_fe",
    "log g": "logg",
    "v mic": "vmic",
    "T eff": "teff",
}


@pytest.mark.parametrize("name", KNOWN)
def test_every_label_of_ours_is_one(name):
    assert label_problem(name) == "" and label_suggestion(name) == name


@pytest.mark.parametrize("name", LABELS)
def test_a_label_that_is_written_otherwise_is_refused_with_ours(name, tmp_path):
    assert f"e.g. {LABELS[name]!r}" in label_problem(name)
    spectra = read_shard(resolve("embedded:stelib"), slice(0, 3))
    for part in ("labels", "label_errors"):
        changed = replace(spectra, **{part: {name: np.ones(3)}})
        with pytest.raises(DataError) as refused:
            write_shard(changed, tmp_path / "shard.h5")
        assert repr(name) in str(refused.value) and LABELS[name] in str(refused.value)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match=LABELS[name]):
        refuse_unknown(["teff", name])


@pytest.mark.parametrize("group", ["labels", "native"])
def test_check_names_the_group_that_a_slash_made(group, tmp_path):
    path = tmp_path / "shard.h5"
    path.write_bytes(resolve("embedded:stelib").read_bytes())
    with h5py.File(path, "r+") as file:
        file.create_dataset(f"{group}/[Fe/H]", data=np.zeros(len(file["id"])))
    found = [problem for problem in check_shard(path) if problem.field == group]
    assert len(found) == 1 and "'[Fe/H]' is a group" in found[0].message and "fe_h" in found[0].remedy


@pytest.mark.parametrize("name", ["S/N", "/", "..", ""])
def test_a_fact_whose_name_makes_a_group_is_refused(name, tmp_path):
    assert part_problem(name)
    spectra = replace(read_shard(resolve("embedded:stelib"), slice(0, 3)), native={name: np.ones(3)})
    with pytest.raises(DataError, match="cannot name a fact"):
        write_shard(spectra, tmp_path / "shard.h5")


def test_check_names_a_label_that_no_metric_could_be_called_by(tmp_path):
    path = tmp_path / "shard.h5"
    path.write_bytes(resolve("embedded:stelib").read_bytes())
    with h5py.File(path, "r+") as file:
        file["labels"].create_dataset("log g", data=np.zeros(len(file["id"]))).attrs["unit"] = "dex"
    (found,) = check_shard(path)
    assert "'log g' cannot name a label" in found.message and "'logg'" in found.remedy


def test_a_scenario_of_a_bench_is_named_likewise():
    from synth2obs.analysis.proof.settings import ProveConfig

    with pytest.raises(ValueError, match="'a/b' cannot name a scenario.*a_b"):
        ProveConfig(scenarios={"a/b": {"name": "placebo"}})
