from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from synth2obs.core.config_io import (
    differences,
    digest,
    flatten,
    load_config,
    parse_config,
    resolved_json,
    resolved_toml,
)
from synth2obs.core.errors import ConfigError


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Decoder(Section):
    latent_dim: int = Field(16, ge=1)
    rank: int = 24
    kind: Literal["grid", "siren"] = "grid"


class SurveyData(Section):
    name: str
    weight: float = 1.0

    @field_validator("weight")
    @classmethod
    def _positive(cls, value: float) -> float:
        if value <= 0:
            raise ValueError("weight must be > 0; leave the survey out instead")
        return value


class Config(Section):
    seed: int = 0
    out: Path = Path("out")
    decoder: Decoder = Decoder()
    surveys: list[SurveyData] = []
    weights: dict[str, float] = {}
    extra: SurveyData | None = None
    tracked: bool = True
    rates: tuple[float, float] = (1e-3, 1e-5)


def load(tmp_path, text="", *overrides):
    path = tmp_path / "c.toml"
    path.write_text(text, encoding="utf-8")
    return load_config(Config, path, overrides)


def test_defaults_then_file_then_overrides(tmp_path):
    config = load(tmp_path, "seed = 1\n[decoder]\nrank = 8\nlatent_dim = 4", "decoder.rank=9")
    assert (config.seed, config.decoder.rank, config.decoder.latent_dim) == (1, 9, 4)


@pytest.mark.parametrize(
    "override, read",
    [
        ("seed=7", lambda c: c.seed == 7),
        ("out=runs/a b", lambda c: c.out == Path("runs/a b")),
        ('out="quoted"', lambda c: c.out == Path("quoted")),
        ("out=a=b", lambda c: c.out == Path("a=b")),
        ("out=x\nseed = 5", lambda c: c.seed == 0),
        ("tracked=false", lambda c: c.tracked is False),
        ("rates=[1e-2, 3]", lambda c: c.rates == (0.01, 3.0)),
        ("surveys.0.weight=2", lambda c: c.surveys[0].weight == 2),
        ("weights.mg_fe=0.5", lambda c: c.weights == {"mg_fe": 0.5}),
        ("decoder={rank = 3}", lambda c: c.decoder.rank == 3),
    ],
)
def test_overrides_are_toml_or_bare_text(override, read, tmp_path):
    assert read(load(tmp_path, "[[surveys]]\nname = 'miles'", override))


@pytest.mark.parametrize(
    "text, overrides, message",
    [
        (
            "[decoder]\nlatent_dims = 3",
            [],
            "c.toml: decoder: unknown 'latent_dims'; known: latent_dim, rank, kind; "
            "did you mean 'latent_dim'?",
        ),
        ("", ["sed=1"], "unknown 'sed'; known: seed, .*did you mean 'seed'"),
        ("", ["zzz=1"], r"unknown 'zzz'; known: seed, out, decoder, .*rates$"),
        ("[[surveys]]\nname='a'\nwieght=1", [], "surveys.0: unknown 'wieght'; known: name, weight; did"),
        ("extra = {name='a', nane='b'}", [], "extra: unknown 'nane'; known: name, weight"),
        ("", ["decoder.rank=many"], "decoder.rank: .*integer.*got 'many'; .*give decoder.rank=value"),
        ("", ["decoder.latent_dim=0"], "decoder.latent_dim: .*greater than or equal to 1, got 0"),
        ("", ["decoder.kind=fft"], "decoder.kind: .*'grid' or 'siren', got 'fft'"),
        ("[[surveys]]\nweight=1", [], "surveys.0.name: missing"),
        ("[[surveys]]\nname='a'\nweight=-1", [], r"surveys.0.weight: weight must be > 0; .*\(got -1\)"),
        ("", ["seed"], "'seed' is not key=value"),
        ("", ["=1"], "is not key=value"),
        ("", ["decoder..rank=1"], "is not key=value"),
        ("seed = 1", ["seed.a=1"], "'seed' is the value 1, not a section"),
        ("surveys = []", ["surveys.0.name=a"], "'0' is no position in a list of 0"),
        ("surveys = []", ["surveys.x=a"], "'x' is no position"),
        ("seed = = 1", [], "not valid TOML: .*line 1"),
    ],
)
def test_what_is_wrong_is_named(text, overrides, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, text, *overrides)


def test_all_problems_are_told_at_once(tmp_path):
    with pytest.raises(ConfigError, match=r"(?s)seed.*decoder: unknown 'rnk'"):
        load(tmp_path, "seed = 'x'\n[decoder]\nrnk = 3")


def test_missing_and_unreadable_files(tmp_path):
    with pytest.raises(ConfigError, match="none.toml: cannot be read"):
        load_config(Config, tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"out = '\xe9'")
    with pytest.raises(ConfigError, match="latin.toml: cannot be read"):
        load_config(Config, tmp_path / "latin.toml")


def example() -> Config:
    tree = {
        "out": 'a "b"\\ü\n',
        "surveys": [{"name": "miles"}, {"name": "galah", "weight": 1e-7}],
        "weights": {"[Fe/H] bias": 1.0, "mg_fe": float("1e300")},
        "extra": {"name": "é"},
    }
    return parse_config(Config, tree)


def test_resolved_toml_reads_back(tmp_path):
    (tmp_path / "r.toml").write_text(resolved_toml(example()), encoding="utf-8")
    assert load_config(Config, tmp_path / "r.toml") == example()
    (tmp_path / "d.toml").write_text(resolved_toml(Config()), encoding="utf-8")
    assert load_config(Config, tmp_path / "d.toml") == Config()


def test_resolved_json_reads_back():
    assert Config.model_validate_json(resolved_json(example())) == example()


def test_flattened_settings():
    flat = flatten(example())
    assert flat["decoder.rank"] == 24 and flat["tracked"] is True and flat["weights.mg_fe"] == 1e300
    assert flat["surveys"] == '[{"name": "miles", "weight": 1.0}, {"name": "galah", "weight": 1e-07}]'
    assert flatten(Config())["extra"] == "none" and flatten(Config())["weights"] == "{}"


def test_digest_and_differences():
    old, new = flatten(Config()), flatten(Config(seed=3))
    assert digest(old) != digest(new) and digest(old) == digest(dict(reversed(old.items())))
    assert differences(old, new) == ["seed: 0 → 3"] and not differences(old, old)
    assert differences({"a": 1}, {"b": 2}) == ["a: 1 → (absent)", "b: (absent) → 2"]
