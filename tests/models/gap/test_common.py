"""A gap that surveys share: recovery, coverage, limits, and what a survey of few stars gains."""

import pytest
import torch

from synth2obs.core.wavelengths import log_grid
from synth2obs.models.gap.common import hierarchical_gap
from synth2obs.models.gap.evidence import GapEvidence, gap_evidence
from synth2obs.models.gap.features import polynomial
from synth2obs.models.gap.joint import Taught, joint_posterior
from synth2obs.models.gap.polynomial import LinearConfig
from synth2obs.models.gap.posterior import gap_posterior
from synth2obs.models.gap.smoothing import smoothing

CELLS, STEP, NOISE = 400, 1e-4, 0.02
REST = torch.from_numpy(log_grid(5000.0, 6000.0, STEP)[:CELLS])
COMMON, OWN = 0.02, 0.008
NORMAL = LinearConfig(tails=1e6, window=CELLS)
SHARP, BLUNT = 1.5 * STEP, 2.5 * STEP


def sigma(value, cells=CELLS):
    return torch.full((cells,), value, dtype=torch.float64)


class World:
    """Common and own gaps drawn from their priors, and surveys that see them."""

    def __init__(self, seed=0, common=COMMON, own=OWN):
        self.generator = torch.Generator().manual_seed(seed)
        self.own_width = own
        self.common = common * self.normal(3, CELLS)
        self.truth, self.own = {}, {}

    def normal(self, *shape):
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64)

    def survey(self, name, stars, width=SHARP, reference=SHARP, rest=REST, seen=None):
        """A survey's evidence and smoothing; its own gap alone is learned, too."""
        onto = smoothing(REST, rest, sigma(reference), sigma(width, len(rest)))
        self.own[name] = self.own_width * self.normal(3, len(rest))
        self.truth[name] = onto(self.common.T).T + self.own[name]
        features = polynomial(self.normal(stars, 2), 1)[0]
        residual = features @ self.truth[name] + NOISE * self.normal(stars, len(rest))
        ivar = torch.full_like(residual, NOISE**-2)
        if seen is not None:
            ivar[:, ~seen] = 0.0
        alone = gap_posterior(residual, ivar, features, NORMAL)
        evidence = gap_evidence(residual, ivar, features, alone.scatter, alone.prior_variance)
        return Taught(evidence, onto), alone


def pulls(part, truth):
    return (part.mean - truth) / part.variance.sqrt()


def assert_covers(part, truth, share=0.6827, slack=0.03):
    inside = float((pulls(part, truth).abs() < 1).double().mean())
    assert abs(inside - share) < slack, inside


def rms(values):
    return float(values.square().mean().sqrt())


@pytest.fixture(scope="module", params=[SHARP, BLUNT], ids=["one resolution", "two resolutions"])
def learned(request):
    """Two surveys of many stars and one of four; the second and third may be blunter."""
    world = World()
    surveys = {
        "one": world.survey("one", 120),
        "two": world.survey("two", 60, request.param),
        "few": world.survey("few", 4, request.param),
    }
    taught = {name: each for name, (each, _) in surveys.items()}
    return (
        world,
        taught,
        {name: alone for name, (_, alone) in surveys.items()},
        hierarchical_gap(taught, NORMAL),
    )


class TestLearned:
    def test_sums_are_found_within_their_errors(self, learned):
        world, _, _, found = learned
        for name, truth in world.truth.items():
            assert_covers(found.surveys[name].total, truth)

    def test_parts_are_found_within_their_errors(self, learned):
        world, _, _, found = learned
        assert_covers(found.common, world.common)
        for name, truth in world.own.items():
            assert_covers(found.surveys[name].own, truth, slack=0.04)

    def test_the_common_part_is_recovered(self, learned):
        world, _, _, found = learned
        assert rms(found.common.mean - world.common) < 0.4 * COMMON

    def test_widths_are_found(self, learned):
        _, _, _, found = learned
        assert float(found.common.prior_variance.mean().sqrt()) == pytest.approx(COMMON, rel=0.12)
        assert float(found.surveys["one"].own.prior_variance.mean().sqrt()) == pytest.approx(OWN, rel=0.35)

    def test_few_stars_gain(self, learned):
        world, _, alone, found = learned
        left = rms(found.surveys["few"].total.mean - world.truth["few"])
        assert left < 0.85 * rms(alone["few"].mean - world.truth["few"])

    def test_many_stars_lose_nothing(self, learned):
        world, _, alone, found = learned
        left = rms(found.surveys["one"].total.mean - world.truth["one"])
        assert left < 1.01 * rms(alone["one"].mean - world.truth["one"])


@pytest.fixture(scope="module")
def constant():
    """A survey of 80 stars, and one of four that are asked for a constant alone."""
    world = World(seed=1)
    one, few = world.survey("one", 80)[0], world.survey("few", 4)[0]
    first = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)[:, None]
    alone = few.evidence._replace(prior_variance=few.evidence.prior_variance * first)
    return world, hierarchical_gap({"one": one, "few": few._replace(evidence=alone, used=1)}, NORMAL)


class TestFewFunctions:
    def test_it_has_no_slopes_of_its_own_but_their_error(self, constant):
        world, gap = constant
        own = gap.surveys["few"].own
        assert own.mean[0].any() and not own.mean[1:].any()
        torch.testing.assert_close(own.variance[1:], own.prior_variance[1:])
        total = gap.surveys["few"].total
        for row in range(3):
            inside = (pulls(total, world.truth["few"])[row].abs() < 1).double().mean()
            assert 0.6 < float(inside) < 0.85

    def test_it_does_not_overrule_the_others_slopes(self, constant):
        world, gap = constant
        left = gap.common.mean - world.common
        assert rms(left[1:]) < 1.1 * OWN
        assert abs(float((pulls(gap.common, world.common)[1:].abs() < 1).double().mean()) - 0.6827) < 0.06


class TestLimits:
    def test_one_survey_is_its_own_gap(self):
        taught, alone = World().survey("one", 20)
        total = hierarchical_gap({"one": taught}, NORMAL).surveys["one"].total
        torch.testing.assert_close(total.mean, alone.mean, rtol=1e-7, atol=1e-12)
        torch.testing.assert_close(total.covariance, alone.covariance, rtol=1e-7, atol=1e-14)
        torch.testing.assert_close(total.prior_variance, alone.prior_variance)

    def test_so_it_is_where_no_other_survey_looks(self):
        world, half = World(), torch.arange(CELLS) < CELLS // 2
        one, alone = world.survey("one", 20)
        other, _ = world.survey("other", 20, seen=half)
        total = hierarchical_gap({"one": one, "other": other}, NORMAL).surveys["one"].total
        torch.testing.assert_close(total.mean[:, ~half], alone.mean[:, ~half], rtol=1e-6, atol=1e-10)
        torch.testing.assert_close(total.covariance[~half], alone.covariance[~half], rtol=1e-6, atol=1e-12)
        assert not torch.allclose(total.mean[:, half], alone.mean[:, half])

    def test_a_survey_without_stars_has_the_common_gap_and_changes_nothing(self):
        world = World()
        taught = {name: world.survey(name, 60)[0] for name in ("one", "two")}
        before = hierarchical_gap(taught, NORMAL)
        nobody = GapEvidence(
            torch.zeros(CELLS, 3, 3, dtype=torch.float64),
            torch.zeros(CELLS, 3, dtype=torch.float64),
            torch.zeros(3, CELLS, dtype=torch.float64),
        )
        after = hierarchical_gap({**taught, "new": Taught(nobody, taught["one"].smoothing)}, NORMAL)
        torch.testing.assert_close(after.common.mean, before.common.mean)
        torch.testing.assert_close(
            after.surveys["one"].total.covariance, before.surveys["one"].total.covariance
        )
        new = after.surveys["new"]
        torch.testing.assert_close(new.total.mean, before.common.mean)
        torch.testing.assert_close(new.total.variance, before.common.variance + new.own.prior_variance)
        assert_covers(new.total, world.common + OWN * world.normal(3, CELLS))

    def test_the_order_of_surveys_does_not_matter(self):
        world = World()
        taught = {"one": world.survey("one", 30)[0], "two": world.survey("two", 10, BLUNT)[0]}
        one = hierarchical_gap(taught, NORMAL)
        two = hierarchical_gap(dict(reversed(taught.items())), NORMAL)
        torch.testing.assert_close(one.common.mean, two.common.mean)
        torch.testing.assert_close(one.surveys["two"].total.covariance, two.surveys["two"].total.covariance)

    def test_evidence_adds_up_over_stars(self):
        world = World()
        residual, features = world.normal(9, CELLS), world.normal(9, 3)
        ivar = torch.rand(9, CELLS, generator=world.generator, dtype=torch.float64)
        rest = torch.zeros(CELLS, dtype=torch.float64), torch.zeros(3, CELLS, dtype=torch.float64)
        whole, *parts = (
            gap_evidence(residual[rows], ivar[rows], features[rows], *rest)
            for rows in (slice(None), slice(0, 4), slice(4, None))
        )
        torch.testing.assert_close(whole.curvature, parts[0].curvature + parts[1].curvature)
        torch.testing.assert_close(whole.moment, parts[0].moment + parts[1].moment)

    def test_without_priors_all_is_zero(self):
        taught, _ = World().survey("one", 20)
        nothing = torch.zeros(3, CELLS, dtype=torch.float64)
        found = joint_posterior({"one": taught}, nothing, {"one": nothing})
        assert not found.common.mean.any() and not found.surveys["one"].total.covariance.any()

    def test_different_features_are_refused(self):
        taught, _ = World().survey("one", 20)
        less = GapEvidence(
            taught.evidence.curvature[:, :1, :1],
            taught.evidence.moment[:, :1],
            taught.evidence.prior_variance[:1],
        )
        with pytest.raises(ValueError, match="share features"):
            hierarchical_gap({"one": taught, "two": Taught(less, taught.smoothing)}, NORMAL)


class TestExact:
    """Against the posterior of all cells together, one dense normal matrix."""

    @pytest.mark.parametrize("coarser", [1.0, 2.5])
    def test_agrees_with_the_dense_posterior(self, coarser):
        world = World(seed=3)
        rest = torch.from_numpy(log_grid(5000.0, float(REST[-1]), coarser * STEP))
        taught = {
            "one": world.survey("one", 30)[0],
            "two": world.survey("two", 8, 3.0 * STEP, rest=rest)[0],
        }
        own = {name: torch.full_like(each.evidence.prior_variance, OWN**2) for name, each in taught.items()}
        found = joint_posterior(taught, torch.full((3, CELLS), COMMON**2, dtype=torch.float64), own)
        mean, covariance = dense(taught)
        torch.testing.assert_close(found.surveys["two"].total.mean, mean, rtol=1e-6, atol=1e-9)
        middle = slice(20, len(rest) - 20)
        variance = found.surveys["two"].total.variance[:, middle]
        assert rms(variance / covariance[:, middle] - 1) < 0.05


def dense(taught):
    """Mean and variance of the second survey's gap, (F, L) each, from the joint normal distribution of everything."""
    size = {name: 3 * each.evidence.moment.shape[0] for name, each in taught.items()}
    maps = {name: torch.kron(each.smoothing.matrix.to_dense(), torch.eye(3)) for name, each in taught.items()}
    prior = torch.block_diag(
        COMMON**2 * torch.eye(3 * CELLS, dtype=torch.float64),
        *(OWN**2 * torch.eye(size[name], dtype=torch.float64) for name in taught),
    )
    rows = []
    for name in taught:
        parts = [torch.eye(size[o]) if o == name else torch.zeros(size[name], size[o]) for o in taught]
        rows.append(torch.cat([maps[name].double(), *(part.double() for part in parts)], dim=1))
    info = torch.block_diag(*(torch.block_diag(*each.evidence.curvature) for each in taught.values()))
    moment = torch.cat([each.evidence.moment.flatten() for each in taught.values()])
    design = torch.cat(rows)
    covariance = torch.linalg.inv(torch.linalg.inv(prior) + design.T @ info @ design)
    mean = covariance @ design.T @ moment
    second = rows[1]
    variance = ((second @ covariance) * second).sum(1)
    return (second @ mean).view(-1, 3).T, variance.view(-1, 3).T
