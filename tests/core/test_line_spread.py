"""Line spreads: what is cut, joined or widened keeps what every star has at every pixel."""

from dataclasses import replace

import numpy as np
import pytest

from synth2obs.core.errors import DataError
from synth2obs.core.line_spread import LineSpread

GROUPS, PIXELS, STARS = 3, 7, 5


def gaussian(seed: int = 1) -> LineSpread:
    random = np.random.default_rng(seed)
    return LineSpread(
        sigma=random.uniform(0.5, 1.0, (GROUPS, PIXELS)), group=np.array([2, 0, 0, 2, 1], np.int32)
    )


def hermite(seed: int = 1) -> LineSpread:
    profile = np.random.default_rng(seed).normal(0, 0.03, (GROUPS, PIXELS, 4)).astype(np.float32)
    return replace(gaussian(seed), hermite=profile)


def tabulated(seed: int = 1) -> LineSpread:
    kernel = np.random.default_rng(seed).uniform(0, 1, (GROUPS, PIXELS, 5)).astype(np.float32)
    return replace(gaussian(seed), kernel=kernel, offset=np.linspace(-2.0, 2.0, 5))


FORMS = {"Gaussian": gaussian, "Gauss-Hermite": hermite, "table": tabulated}


def each_star(spread: LineSpread) -> list[np.ndarray]:
    """What every star has: profiles (N, P, ...), and the offsets."""
    found = [getattr(spread.each(), name) for name in ("sigma", "hermite", "kernel")]
    offset = [] if spread.offset is None else [spread.offset]
    return [rows for rows in found if rows is not None] + offset


def assert_same(one: LineSpread, other: LineSpread) -> None:
    for mine, theirs in zip(each_star(one), each_star(other), strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("make", FORMS.values(), ids=FORMS.keys())
class TestLaws:
    @pytest.mark.parametrize("rows", [[4, 0], slice(1, 3), np.arange(STARS) % 2 == 0, []], ids=str)
    def test_take_is_the_rows_of_each_star(self, make, rows):
        spread = make()
        kept = np.arange(STARS)[rows] if len(np.atleast_1d(rows)) else np.array([], int)
        taken = spread.take(kept)
        np.testing.assert_array_equal(taken.each().sigma, spread.each().sigma[kept])
        assert taken.equals(spread)

    def test_join_of_parts_is_the_whole(self, make):
        spread = make()
        joined = spread.take(slice(0, 2)).join(spread.take(slice(2, None)))
        assert len(joined.sigma) == GROUPS and joined.group.dtype == spread.group.dtype
        assert_same(joined, spread)

    def test_join_of_others_keeps_what_is_used(self, make):
        first, second = make(1).take([1, 2]), make(2)
        joined = first.join(second)
        assert len(joined.sigma) == 1 + GROUPS
        assert_same(joined.take([0, 1]), first)
        assert_same(joined.take(slice(2, None)), second)

    def test_detectors_are_the_pixels_put_together(self, make):
        spread = make()
        parts = [spread.cut(slice(0, 3)), spread.cut([3]), spread.cut(np.arange(PIXELS) > 3)]
        assert_same(LineSpread.of_detectors(parts), spread)
        assert_same(spread.cut(slice(None, None, -1)).cut(slice(None, None, -1)), spread)

    def test_stars_are_put_together_by_groups(self, make):
        spread = make()
        singles = [spread.of_group(int(number)) for number in spread.group]
        together = LineSpread.of_stars(singles)
        assert together.group.tolist() == [0, 1, 1, 0, 2]
        assert_same(together, spread)
        assert_same(spread.usual, spread.of_group(0))

    def test_scaled_and_back(self, make):
        spread, wide = make(), make().scaled(2.0)
        np.testing.assert_array_equal(wide.sigma, 2.0 * spread.sigma)
        assert_same(wide.scaled(0.5), spread)
        with pytest.raises(DataError, match="positive number"):
            spread.scaled(0.0)

    def test_single_is_a_group_without_its_axis(self, make):
        one = make().of_group(1)
        rows = [None if part is None else part[0] for part in (one.sigma, one.hermite, one.kernel)]
        alone = LineSpread.single(rows[0], hermite=rows[1], kernel=rows[2], offset=one.offset, stars=4)
        assert_same(alone, one.take([0, 0, 0, 0]))

    def test_another_form_is_not_joined(self, make):
        for other in FORMS.values():
            if other is not make:
                with pytest.raises(DataError, match=r"line_spread\..*join equal forms"):
                    make().join(other(2))


class TestGaussian:
    def test_all_stars_share_a_row(self):
        spread = LineSpread.gaussian(np.ones(PIXELS), stars=4)
        assert spread.group.tolist() == [0, 0, 0, 0] and spread.sigma.shape == (1, PIXELS)

    def test_each_star_has_its_row(self):
        assert LineSpread.gaussian(np.ones((4, PIXELS)), stars=4).group.tolist() == [0, 1, 2, 3]

    def test_rows_that_are_nobodys(self):
        with pytest.raises(DataError, match=r"line_spread\.group: sigma has 2 rows.*the row of each star"):
            LineSpread.gaussian(np.ones((2, PIXELS)), stars=4)

    def test_lists_become_arrays(self):
        assert LineSpread.gaussian([[1.0, 2.0], [3.0, 4.0]], group=[1, 0]).each().sigma.tolist() == [
            [3, 4],
            [1, 2],
        ]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"sigma": np.ones(PIXELS)}, r"line_spread\.sigma: shape \(7,\); give \(groups, pixels\) in Å"),
        ({"group": np.zeros((STARS, 1), int)}, r"line_spread\.group: shape \(5, 1\)"),
        ({"group": np.zeros(STARS)}, r"line_spread\.group: .*float64; give the row of each star"),
        ({"group": np.array([0, 3])}, "rows 0 to 3 of a sigma with 3 rows; count rows from 0"),
        ({"group": np.array([-1])}, "rows -1 to 0 of"),
        (
            {"hermite": np.ones((GROUPS, 6, 2))},
            r"line_spread\.hermite: shape \(3, 6, 2\).*one profile per width",
        ),
        ({"hermite": np.ones((GROUPS, PIXELS))}, "one profile per width"),
        ({"kernel": np.ones((1, PIXELS, 5))}, r"line_spread\.kernel"),
        ({"kernel": np.ones((GROUPS, PIXELS, 5))}, r"line_spread\.offset: .*responses of 5 entries"),
        ({"offset": np.ones(3)}, "responses of no entries"),
        (
            {
                "hermite": np.ones((GROUPS, PIXELS, 2)),
                "kernel": np.ones((GROUPS, PIXELS, 5)),
                "offset": np.arange(5),
            },
            "stands beside a kernel; describe the line spread in one way",
        ),
    ],
)
def test_shapes_that_disagree_are_refused(wrong, message):
    with pytest.raises(DataError, match=message):
        replace(gaussian(), **wrong)
