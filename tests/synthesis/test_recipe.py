"""Recipes: what is refused, in words that say what to do, and what counts as physics."""

from pathlib import Path

import pytest

from synth2obs.core.config_io import resolved_toml
from synth2obs.core.errors import ConfigError
from synth2obs.synthesis.recipe import read_recipe

ROOT = Path(__file__).parents[2]
RECIPE = """
[grid]
domain = "toy"
spectra = 3
[labels]
elements = ["Mg"]
ranges = { teff = [4500.0, 6000.0], logg = [3.0, 5.0], fe_h = [-1.0, 0.0] }
[sampling]
name = "sobol"
[[line_list]]
file = "toy.lines"
medium = "air"
range = [4990.0, 5260.0]
[spectrum]
bands = [[5000.0, 5060.0], [5190.0, 5250.0]]
medium = "air"
[output]
resolving_power = 3000.0
step = 1e-4
"""


@pytest.fixture
def read(tmp_path):
    def recipe(*changes):
        text = RECIPE
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        path = tmp_path / "recipe.toml"
        path.write_text(text)
        return read_recipe(path)

    return recipe


def test_names_and_limits(read):
    labels = read().labels
    assert labels.names == ("teff", "logg", "fe_h", "mg_fe")
    assert labels.limits["mg_fe"] == (-1.2, 1.2)


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("spectra = 3", "spectra = 3\nspectre = 4", "unknown 'spectre'.*did you mean"),
        ("spectra = 3", "spectra = 0", r"grid\.spectra"),
        ('domain = "toy"', 'domain = "Toy Grid"', r"grid\.domain"),
        ("[5190.0, 5250.0]", "[5050.0, 5250.0]", "bands must increase and not overlap"),
        ("teff = [4500.0, 6000.0], ", "", "labels.ranges must have teff"),
        ("teff = [4500.0, 6000.0]", "teff = [6000.0, 4500.0]", "labels.ranges.teff must increase"),
        (
            "fe_h = [-1.0, 0.0]",
            "fe_h = [-1.0, 0.0], ca_fe = [0.0, 1.0]",
            "add the element to labels.elements",
        ),
        ('[sampling]\nname = "sobol"', '[sampling]\nname = "sobal"', "sobal"),
        ("range = [4990.0, 5260.0]", "range = [5260.0, 4990.0]", "two increasing wavelengths"),
        ('medium = "air"\nrange', 'medium = "water"\nrange', "air.*vacuum"),
        ('medium = "air"\nrange', "range", r"line_list\.0\.medium: missing; add it to the file"),
        ('medium = "air"\n[output]', "[output]", r"spectrum\.medium: missing; add it to the file"),
        ('name = "sobol"', 'name = "sobol"\nseed = 3', "sampling: unknown 'seed'; known: name"),
        ("[output]", '[engine]\nname = "moog"\n[output]', "turbospectrum.*pysme"),
    ],
)
def test_what_is_wrong_is_named(read, old, new, words):
    with pytest.raises(ConfigError, match=words) as caught:
        read((old, new))
    assert "recipe.toml" in str(caught.value)


def test_a_table_lies_beside_its_recipe(read, tmp_path):
    (tmp_path / "stars.csv").write_text("teff,logg,fe_h,mg_fe\n5000,4,0,0\n5100,4,0,0\n5200,4,0,0.1\n")
    recipe = read(('name = "sobol"', 'name = "table"\nfile = "stars.csv"'))
    assert recipe.table()[2].tolist() == [5200.0, 4.0, 0.0, 0.1]


def test_physics_is_what_spectra_depend_on(read):
    physics = read().physics
    same = [("spectra = 3", "spectra = 9"), ("resolving_power = 3000.0", "resolving_power = 2000.0")]
    same += [("[output]", "[engine]\ntime_limit = 7.0\n[output]")]
    other = [
        ("5060.0", "5061.0"),
        ('file = "toy', 'file = "other'),
        ("[output]", "[engine]\nvmic = 2.0\n[output]"),
    ]
    assert {read(change).physics for change in same} == {physics}
    assert physics not in {read(change).physics for change in other}


def test_a_written_recipe_is_the_same(read, tmp_path):
    recipe = read()
    (tmp_path / "again.toml").write_text(resolved_toml(recipe))
    assert read_recipe(tmp_path / "again.toml") == recipe


@pytest.mark.parametrize("path", sorted(ROOT.glob("grids/*/recipe.toml")), ids=lambda path: path.parent.name)
def test_recipes_of_this_repository(path):
    if "[[line_list]]" not in path.read_text(encoding="utf-8"):
        pytest.skip("a recipe of something else")
    recipe = read_recipe(path)
    few = recipe.model_copy(update={"grid": recipe.grid.model_copy(update={"spectra": 8})})
    assert few.table().shape == (8, len(recipe.labels.names))
