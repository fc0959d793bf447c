"""Reading, cutting and splitting: by star, whatever the survey and whoever else is there."""

from dataclasses import replace

import numpy as np
import pytest

from synth2obs.core.errors import ConfigError, DataError
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Spectra
from synth2obs.io.shard.write import write_shard
from synth2obs.io.trainable import grid_problems
from synth2obs.training.build import first_state
from synth2obs.training.config import DataConfig, TrainConfig
from synth2obs.training.domains import PARTS, load_domains

SEED = 20


def spectra(count, *, kind="survey", names="star_{}", pixels=60, start=5000.0):
    """Featureless spectra with labels, 1 Å per pixel; those of a grid uniform in ln λ."""
    random = np.random.default_rng(count)
    wavelength = start + np.arange(pixels)
    if kind == "grid":
        wavelength = start * np.exp(np.arange(pixels) / start)
    unknown = np.full(count, np.nan)
    return Spectra(
        domain="made",
        kind=kind,
        wavelength=wavelength,
        segment=np.zeros(pixels, np.int16),
        flux=random.uniform(0.9, 1.0, (count, pixels)),
        ivar=None if kind == "grid" else np.full((count, pixels), 1e4),
        flags=None if kind == "grid" else np.ones((count, pixels), np.uint32),
        id=np.array([names.format(number) for number in range(count)]),
        line_spread=LineSpread.gaussian(np.full(pixels, 1.0), stars=count),
        rv=unknown,
        rv_error=unknown,
        snr=np.full(count, 100.0),
        labels={
            "mg_fe": random.uniform(0, 0.4, count),
            "fe_h": random.uniform(-1, 0, count),
            "logg": random.uniform(1, 5, count),
            "teff": random.uniform(4000, 7000, count),
        },
        flux_kind="normalized" if kind == "grid" else "relative",
    )


@pytest.fixture
def load(tmp_path):
    """Domains of a grid and surveys given as tables; ``pairs`` are MILES and STELIB ids."""

    def load(surveys, pairs=(), grid=None, seed=SEED, **changes):
        tables = {
            "grid": spectra(80, kind="grid", start=4950.0, pixels=160) if grid is None else grid,
            **surveys,
        }
        paths = {name: str(write_shard(table, tmp_path / f"{name}.h5")) for name, table in tables.items()}
        matches = tmp_path / "pairs.csv"
        rows = (f"{first},{first},{second}" for first, second in pairs)
        matches.write_text("star,miles,stelib\n" + "\n".join(rows), encoding="utf-8")
        settings = {
            "grid": paths.pop("grid"),
            "surveys": paths,
            "same_stars": str(matches),
            "start": 5000.0,
            "stop": 5060.0,
            **changes,
        }
        return load_domains(DataConfig(**settings), seed)

    return load


def sides(survey):
    return dict(zip(survey.star, survey.part, strict=True))


class TestSplit:
    def test_one_star_in_two_surveys_is_on_one_side(self, load):
        pairs = [(f"MILES_{n}", f"HD{n}") for n in range(0, 120, 2)]
        tables = {"miles": spectra(120, names="MILES_{}"), "stelib": spectra(120, names="HD{}")}
        found = load(tables, pairs).surveys
        miles, stelib = sides(found["miles"]), sides(found["stelib"])
        common = miles.keys() & stelib.keys()
        assert common == {first for first, _ in pairs}
        assert all(miles[star] == stelib[star] for star in common)
        assert {miles[star] for star in common} == set(PARTS)
        alone = load(tables).surveys
        assert sides(alone["stelib"]).keys().isdisjoint(sides(alone["miles"]))

    def test_the_embedded_surveys_share_stars_on_one_side(self, trained, small):
        from synth2obs.training.run import read_config

        config = read_config(None, [*small, "data.max_stars=0"])
        found = load_domains(config.data, config.seed).surveys
        miles, stelib = sides(found["miles"]), sides(found["stelib"])
        common = miles.keys() & stelib.keys()
        assert len(common) > 50
        assert all(miles[star] == stelib[star] for star in common)

    def test_spectra_of_one_object_are_on_one_side(self, load):
        table = spectra(200)
        objects = np.array([f"star {number // 2}" for number in range(200)])
        objects[-2:] = ""
        found = load({"miles": replace(table, native={"object": objects})}, [("star_0", "HD0")]).surveys[
            "miles"
        ]
        assert found.star.tolist() == ["star_0"] * 2 + objects[2:-2].tolist() + ["star_198", "star_199"]
        assert (found.part[:-2:2] == found.part[1:-2:2]).all() and set(found.part) == set(PARTS)

    def test_adding_stars_moves_none(self, load):
        before = load({"miles": spectra(60)})
        after = load({"miles": spectra(150), "other": spectra(30, names="other_{}")})
        first, second = sides(before.surveys["miles"]), sides(after.surveys["miles"])
        assert first.items() <= second.items() and len(second) == 150

    def test_order_of_stars_does_not_matter(self, load):
        table = spectra(60)
        turned = table.take(np.arange(60)[::-1])
        assert sides(load({"miles": table}).surveys["miles"]) == sides(
            load({"miles": turned}).surveys["miles"]
        )

    def test_shares_are_as_asked_and_rows_add_up(self, load):
        survey = load({"miles": spectra(1000)}, train=0.5, validation=0.2).surveys["miles"]
        counts = {part: len(survey.rows(part)) for part in PARTS}
        assert sum(counts.values()) == 1000
        assert counts["train"] == pytest.approx(500, abs=60)
        assert counts["validation"] == pytest.approx(200, abs=50)

    def test_another_seed_is_another_split(self, load):
        table = {"miles": spectra(100)}
        assert sides(load(table).surveys["miles"]) != sides(load(table, seed=21).surveys["miles"])

    def test_labels_do_not_split(self, load):
        table = spectra(60)
        bare = replace(table, labels={}, label_errors={})
        assert sides(load({"miles": table}).surveys["miles"]) == sides(load({"miles": bare}).surveys["miles"])

    def test_grid_spectra_are_held_out_by_their_name(self, load):
        survey = {"miles": spectra(20)}
        few = load(survey, grid=spectra(100, kind="grid", names="g{}", start=4950.0, pixels=160)).grid
        many = load(survey, grid=spectra(300, kind="grid", names="g{}", start=4950.0, pixels=160)).grid
        assert np.array_equal(few.held_out, many.held_out[:100])
        assert 0.08 < many.held_out.mean() < 0.2

    @pytest.mark.parametrize("seed", range(8))
    def test_some_spectra_of_the_smallest_grid_are_held_out(self, load, seed):
        grid = spectra(12, kind="grid", start=4950.0, pixels=160)
        found = load({"miles": spectra(40)}, grid=grid, seed=seed, held_out_grid=0.01).grid
        assert found.held_out.sum() == 2


class TestSelection:
    def test_few_stars_are_the_same_whoever_else_is_there(self, load):
        kept = load({"miles": spectra(100)}, max_stars=20).surveys["miles"]
        assert len(kept.star) == 20
        again = load({"miles": spectra(100).take(np.arange(100)[::-1])}, max_stars=20).surveys["miles"]
        assert set(kept.star) == set(again.star)
        more = load({"miles": spectra(100)}, max_stars=40).surveys["miles"]
        assert set(kept.star) < set(more.star)

    def test_wavelengths_are_cut_and_the_grid_keeps_a_margin(self, load):
        found = load({"miles": spectra(20)}, start=5010.0, stop=5030.0)
        wavelength = found.surveys["miles"].spectra.wavelength
        assert (wavelength[0], wavelength[-1]) == (5010.0, 5030.0)
        grid = found.grid.spectra.wavelength
        assert 4990.0 <= grid[0] < 4991.5 and 5048.5 < grid[-1] <= 5050.0

    def test_stars_with_few_good_pixels_are_left_out(self, load):
        table = spectra(30)
        table.ivar[:10, :20] = 0.0
        assert len(load({"miles": table}, good_pixels=0.7).surveys["miles"].star) == 20
        assert len(load({"miles": table}, good_pixels=0.5).surveys["miles"].star) == 30

    def test_labels_of_the_grid_stand_in_the_usual_order(self, load):
        grid = load({"miles": spectra(20)}).grid
        assert grid.labels.names == ("teff", "logg", "fe_h", "mg_fe")
        assert np.array_equal(grid.values[:, 0], grid.spectra.labels["teff"])


class TestRefusals:
    def test_a_grid_is_no_survey_and_a_survey_no_grid(self, load):
        grid = spectra(20, kind="grid")
        with pytest.raises(
            DataError, match=r"miles\.h5: kind: is a grid, not a survey; give a survey's shard"
        ):
            load({"miles": grid})
        with pytest.raises(DataError, match=r"grid\.h5: kind: is a survey, not a grid"):
            load({"miles": spectra(20)}, grid=spectra(20))

    def test_a_grid_needs_labels(self, load):
        with pytest.raises(DataError, match="labels: a grid needs labels"):
            load({"miles": spectra(20)}, grid=replace(spectra(80, kind="grid"), labels={}))

    def test_what_the_checker_says_of_a_grid_a_training_says_too(self, load, tmp_path):
        grid = replace(spectra(80, kind="grid"), wavelength=4950.0 + np.arange(60.0))
        problem, *others = grid_problems(write_shard(grid, tmp_path / "again.h5"))
        assert not others
        with pytest.raises(DataError, match="wavelengths are not uniform in ln λ") as refusal:
            load({"miles": spectra(20)}, grid=grid, start=4950.0)
        assert str(problem) in str(refusal.value)

    def test_too_few_stars_are_named_with_the_remedy(self, load):
        with pytest.raises(DataError, match="only 5 stars of miles.*data.good_pixels"):
            load({"miles": spectra(5)})

    def test_a_part_without_stars_is_named_before_anything_trains(self, load):
        with pytest.raises(DataError, match="20 stars of miles are split into 20 for training and 0 to test"):
            load({"miles": spectra(20)}, train=0.999, validation=0.0)
        with pytest.raises(DataError, match="split into 0 for training and .* data.train"):
            load({"miles": spectra(20)}, train=0.001)
        assert not len(load({"miles": spectra(20)}, validation=0.0).surveys["miles"].rows("validation"))

    def test_no_pixel_in_the_range(self, load):
        with pytest.raises(DataError, match="no pixel between 8000.*cover 4950"):
            load({"miles": spectra(20)}, start=8000.0, stop=8100.0)

    def test_no_survey_and_no_test_star(self, load):
        with pytest.raises(ConfigError, match="data.surveys is empty"):
            load({})
        with pytest.raises(ConfigError, match="leaves no star to test"):
            load({"miles": spectra(20)}, train=0.9, validation=0.1)

    def test_a_missing_shard(self):
        with pytest.raises(DataError, match="no-such.h5"):
            load_domains(DataConfig(surveys={"miles": "no-such.h5"}), SEED)

    def test_a_survey_sharper_than_the_grid_is_named(self, load):
        grid = spectra(80, kind="grid", start=4950.0, pixels=160)
        broad = replace(grid, line_spread=LineSpread.gaussian(np.full(160, 3.0), stars=80))
        found = load({"miles": spectra(20)}, grid=broad)
        with pytest.raises(
            DataError, match="miles: line_spread.sigma: the survey's σ .* higher resolving power"
        ):
            first_state(TrainConfig(), found)
