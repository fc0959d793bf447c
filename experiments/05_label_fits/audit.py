"""Is the Gaussian posterior of a fit the posterior? The library's own objective, priors included, sampled with emcee.

`pip install -c constraints.txt -e '.[dev]'`, then `python experiments/05_label_fits/audit.py BRIDGE`
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import emcee
import numpy as np
import torch
from corner_plot import draw
from mocks import Pixels, Stars, observe, plain
from scores import Floats, table

from synth2obs import load_bridge
from synth2obs.core.trends import LOADINGS, microturbulence
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.covariance import with_covariance
from synth2obs.models.fit.objective import Objective, evaluate
from synth2obs.models.fit.observation import Observation, prepare
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.parameters import LabelParameters
from synth2obs.models.fit.result import LabelFit
from synth2obs.models.fit.solver import minimise
from synth2obs.models.fit.task import _label_task, fit_labels

STARS = {
    "warm dwarf": (6400.0, 4.2, -0.2, 0.0),
    "giant": (4700.0, 2.4, -0.1, 0.05),
    "metal-poor giant": (5100.0, 2.4, -1.9, 0.3),
}
"""Teff, log g, [Fe/H], [α/Fe]."""

SHIFT, WIDTH = 0.25, 1.1
"""Shift in quoted errors, and ratio of widths (or its inverse), from which the Gaussian counts as wrong."""

WIDER, START, STEPS = 1.15, 1.3, (0.3, 0.8)
"""Width of the proposals, and of the first points, in those of the Gaussian; lengths β of steps."""


@dataclass(frozen=True)
class Sampled:
    """The Gaussian and the sampled posterior of one star, all labels and rv.

    Args:
        names: Of the labels, and rv.
        mean, error: Of the Gaussian, (K + 1,), in their units.
        draws: Of the sampler, (S, K + 1).
        independent: Effective number of draws.
    """

    names: tuple[str, ...]
    mean: Floats
    error: Floats
    draws: Floats
    independent: float

    @property
    def shift(self) -> Floats:
        """Sampled minus Gaussian mean in quoted errors."""
        return (self.draws.mean(0) - self.mean) / self.error

    @property
    def ratio(self) -> Floats:
        """Sampled over quoted error."""
        return self.draws.std(0) / self.error

    @property
    def mass(self) -> Floats:
        """Posterior within the quoted 1 σ."""
        return (np.abs(self.draws - self.mean) < self.error).mean(0)

    @property
    def wrong(self) -> list[str]:
        """Labels whose Gaussian is not the posterior, beyond three times what sampling cannot tell."""
        noise = 3.0 / np.sqrt(self.independent)
        shifted = np.abs(self.shift) > SHIFT + noise
        spread = np.abs(np.log(self.ratio)) > np.log(WIDTH) + noise / np.sqrt(2.0)
        numbers = zip(self.names, self.shift, self.ratio, shifted | spread, strict=True)
        return [f"{name} ({shift:+.2f} σ, × {ratio:.2f})" for name, shift, ratio, bad in numbers if bad]


def labels_of(bridge: Bridge, kind: tuple[float, float, float, float]) -> Floats:
    """All labels of a kind of star, (1, K)."""
    teff, logg, fe_h, alpha = kind
    values = {"teff": teff, "logg": logg, "fe_h": fe_h, **{f"{element}_fe": alpha for element in LOADINGS}}
    values["vmic"] = float(microturbulence(*(np.array([value]) for value in kind[:3]))[0])
    return np.array([[values.get(name, 0.0) for name in bridge.labels.names]])


def copies(bridge: Bridge, seen: Observation, fit: LabelFit, count: int) -> Objective:
    """What the fit minimised at its end, for so many points at once: labels, the emulator's error, velocity."""
    rows = torch.zeros(count, dtype=torch.long)
    task = _label_task(bridge, seen.take(rows), Options())  # the fit's own objective has no public name
    return task._problem(torch.arange(count), fit.x[rows], fit.rv[rows])


def log_posterior(objective: Objective, points: Floats) -> Floats:
    """Of scaled labels, the emulator's error in its standard deviations, and velocity, (S, Q + 1)."""
    theta = torch.from_numpy(points)
    own, rv = theta[:, :-1], theta[:, -1]
    low, high = ends(objective)
    size = len(low)
    inside = ((own[:, :size] > low) & (own[:, :size] < high)).all(1)
    kept = torch.cat([own[:, :size].clamp(low, high), own[:, size:]], dim=1)
    found = evaluate(objective.take(torch.arange(len(own))), kept, rv)
    return torch.where(inside, -0.5 * found.objective, -torch.inf).numpy()


def ends(objective: Objective) -> tuple[torch.Tensor, torch.Tensor]:
    """Bounds of the labels."""
    assert isinstance(objective.parameters, LabelParameters)
    return objective.parameters.ends


def gaussian(objective: Objective, fit: LabelFit) -> tuple[Floats, Floats]:
    """Mean and root of the covariance of everything that is sampled, the velocity relative to the fit's."""
    theta = objective.parameters.joined(fit.x)
    found = with_covariance(objective, minimise(objective, theta, steps=8))
    covariance = torch.block_diag(found.covariance[0], found.rv_error[:1, None] ** 2)
    mean = torch.cat([found.iterate.theta[0], found.iterate.rv[:1]])
    return mean.numpy(), torch.linalg.cholesky(covariance).numpy()


def start(points: Floats, objective: Objective) -> Floats:
    """Walkers inside the bounds."""
    low, high = (part.numpy() for part in ends(objective))
    points[:, : len(low)] = np.clip(points[:, : len(low)], low + 1e-3, high - 1e-3)
    return points


class AroundGaussian(emcee.moves.MHMove):
    r"""Preconditioned Crank–Nicolson steps about the Gaussian of a fit (Cotter et al. 2013, Stat. Sci. 28, 424).

    .. math:: y = m + \sqrt{1 - \beta^2} (x - m) + \beta \xi , \qquad \xi \sim N(0, C)

    They would always be accepted if the posterior were that Gaussian, in however many dimensions: emcee's stretch and
    differential moves take thousands of steps to forget where they began in thirty.

    Args:
        mean: m, (K + 1,).
        root: Cholesky factor of C, (K + 1, K + 1).
        beta: Length of a step.
    """

    def __init__(self, mean: Floats, root: Floats, beta: float) -> None:
        self.mean, self.root, self.beta = mean, root, beta
        super().__init__(self._proposed)

    def _half_chi2(self, points: Floats) -> Floats:
        return 0.5 * (np.linalg.solve(self.root, (points - self.mean).T) ** 2).sum(0)

    def _proposed(self, points: Floats, random: np.random.RandomState) -> tuple[Floats, Floats]:
        drawn = random.standard_normal(points.shape) @ self.root.T
        new = self.mean + np.sqrt(1.0 - self.beta**2) * (points - self.mean) + self.beta * drawn
        return new, self._half_chi2(new) - self._half_chi2(points)


def sample(bridge: Bridge, seen: Observation, walkers: int, steps: int) -> Sampled:
    """Fit a star, and sample around it; the first third of the steps is not used."""
    fit = fit_labels(bridge, seen, Options(steps=14))
    objective = copies(bridge, seen, fit, walkers)
    labels = len(bridge.labels)
    mean, root = gaussian(copies(bridge, seen, fit, 1), fit)
    size = len(mean)
    moves = [(AroundGaussian(mean, WIDER * root, beta), 1.0) for beta in STEPS]
    sampler = emcee.EnsembleSampler(
        walkers, size, lambda points: log_posterior(objective, points), moves=moves, vectorize=True
    )
    sampler.random_state = np.random.RandomState(4).get_state()
    first = mean + np.random.default_rng(4).normal(size=(walkers, size)) @ (START * root).T
    sampler.run_mcmc(start(first, objective), steps)
    length = float(np.median(sampler.get_autocorr_time(discard=steps // 3, quiet=True, tol=0)))
    draws = sampler.get_chain(discard=steps // 3, thin=5, flat=True)
    x = torch.from_numpy(draws[:, :labels])
    units = np.column_stack([bridge.scale.inverse(x).numpy(), draws[:, -1] + float(fit.rv[0])])
    error = fit.covariance[0].diagonal().sqrt() * bridge.scale.slope(fit.x)[0].abs()
    return Sampled(
        (*bridge.labels.names, "rv"),
        np.append(bridge.scale.inverse(fit.x)[0].numpy(), float(fit.rv[0])),
        np.append(error.numpy(), float(fit.rv_error[0])),
        units,
        walkers * (steps - steps // 3) / length,
    )


@torch.no_grad()
def cases(bridge: Bridge, args: argparse.Namespace) -> Iterator[tuple[str, Sampled]]:
    """All stars at all S/N."""
    survey = bridge.surveys[0]
    trial = plain(bridge, survey)
    pixels = Pixels.of(bridge, args.resolution, *args.range)
    for name, kind in STARS.items():
        for snr in args.snr:
            stars = Stars(labels_of(bridge, kind))
            spectra, _ = observe(trial, survey, stars, pixels, snr, args.seed)
            seen = prepare(trial, survey, spectra)
            yield f"{name}, S/N {snr:.0f}", sample(trial, seen, args.walkers, args.steps)


def report(found: dict[str, Sampled]) -> str:
    """Shift in quoted errors, ratio of widths, posterior within 1 σ; then what is wrong."""
    some = next(iter(found.values()))
    rows = []
    for column, name in enumerate(some.names):
        cells = [
            f"{case.shift[column]:+.2f}, {case.ratio[column]:.2f}, {100 * case.mass[column]:.0f} %"
            for case in found.values()
        ]
        rows.append([name, *cells])
    lines = [table(["label", *found], rows), ""]
    for name, case in found.items():
        wrong = ", ".join(case.wrong) or "nowhere"
        lines.append(f"- {name}: {case.independent:.0f} independent draws; the Gaussian fails: {wrong}")
    return "\n".join(lines)


def main() -> None:
    """Sample, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bridge")
    parser.add_argument("--snr", type=float, nargs="+", default=[30.0, 200.0])
    parser.add_argument("--resolution", type=float, default=1800.0)
    parser.add_argument("--range", type=float, nargs=2, default=(3700.0, 7400.0), help="vacuum Å")
    parser.add_argument("--walkers", type=int, default=96)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--png", type=Path, default=Path("audit.png"))
    args = parser.parse_args()
    found = dict(cases(load_bridge(args.bridge), args))
    print("Sampled minus Gaussian mean in quoted errors, sampled over quoted error, posterior in 1 σ.\n")
    print(report(found))
    lowest = f"S/N {min(args.snr):.0f}"
    draw({name: case for name, case in found.items() if name.endswith(lowest)}, args.png)


if __name__ == "__main__":
    main()
