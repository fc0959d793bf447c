"""Do labels come back, and are their errors right? Scatter beside the Cramér–Rao bound, pulls, coverage, PIT.

`python experiments/05_label_fits/closed_loop.py BRIDGE [--grid SHARD]`
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from bound import cramer_rao
from loop_plot import draw
from mocks import Pixels, Stars, held_out, observe, plain, population
from scenes import learn, survey_like
from scores import Floats, robust, score, shown, table

from synth2obs import fit_labels, load_bridge
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import prepare

GOOD, NARROW, FACTOR = (0.60, 0.76), 0.2, 1.3
"""Share of pulls within one that is right; bounds (dex) up to which scatter may be so many times the bound."""

BATCH = 20
"""Stars whose bounds are found at once: every star has its functions in native pixels."""

TITLES = ["label", "bias", "scatter", "bound", "spectrum alone", "scatter / bound", "pull", "in 1 σ", "KS"]


class Loop:
    """Fits of stars at one S/N.

    Args:
        names: Of the labels.
        offset, error: Fitted minus true labels and quoted errors, (N, K), for stars whose fit has no flag 8.
        bound, alone: Standard deviations of the Cramér–Rao bound with and without priors, (M, K) for the first M.
        truth: Labels, (N, K).
    """

    def __init__(
        self,
        names: tuple[str, ...],
        offset: Floats,
        error: Floats,
        bound: Floats,
        alone: Floats,
        truth: Floats,
    ) -> None:
        self.names, self.offset, self.error, self.truth = names, offset, error, truth
        self.bound, self.alone = bound, alone

    def where(self, rows: Floats) -> "Loop":
        """Some of the stars, (N,) bool."""
        few = rows[: len(self.bound)]
        return Loop(
            self.names,
            self.offset[rows],
            self.error[rows],
            self.bound[few],
            self.alone[few],
            self.truth[rows],
        )

    @property
    def middle(self) -> Floats:
        """Which stars have 4500 < Teff < 7000 K and [Fe/H] > -1."""
        teff, fe_h = (self.truth[:, self.names.index(name)] for name in ("teff", "fe_h"))
        return (teff > 4500) & (teff < 7000) & (fe_h > -1)

    def ratio(self, column: int) -> float:
        """Scatter over bound, star by star."""
        few = self.offset[: len(self.bound), column]
        return robust(few / self.bound[:, column])

    def rows(self) -> list[list[str]]:
        """Of the table."""
        return [self._row(column, name) for column, name in enumerate(self.names)]

    def _row(self, column: int, name: str) -> list[str]:
        found = score(self.offset[:, column], self.error[:, column])
        bound, alone = (np.median(part[:, column]) for part in (self.bound, self.alone))
        values = [shown(name, value) for value in (found.bias, found.scatter, bound, alone)]
        return [
            name,
            *values,
            f"{self.ratio(column):.2f}",
            f"{found.pull:.2f}",
            f"{100 * found.inside:.0f} %",
            f"{found.distance:.3f}",
        ]

    def verdict(self) -> str:
        """How many labels meet the targets, and which do not."""
        inside = (np.abs(self.offset / self.error) < 1).mean(0)
        right = (inside >= GOOD[0]) & (inside <= GOOD[1])
        unit = np.array([1000.0 if name == "teff" else 1.0 for name in self.names])
        told = np.median(self.bound, axis=0) / unit < NARROW
        ratios = np.array([self.ratio(column) for column in range(len(self.names))])
        wide = told & (ratios > FACTOR)
        wrong = ", ".join(np.array(self.names)[~right]) or "none"
        loose = ", ".join(np.array(self.names)[wide]) or "none"
        critical = 1.36 / np.sqrt(len(self.offset))
        flat = f"KS above {critical:.3f} is not flat (5 %)."
        every = (np.abs(self.offset / self.error) < 1).mean()
        return (
            f"{len(self.offset)} stars, bounds of {len(self.bound)}. Share within 1 σ in {GOOD[0]:.0%}–{GOOD[1]:.0%}: "
            f"{right.sum()} of {len(right)} labels (outside: {wrong}). Scatter ≤ {FACTOR} × bound: "
            f"{(told & ~wide).sum()} of {told.sum()} (beyond: {loose}). All pulls: "
            f"{every:.1%} within 1 σ. {flat}"
        )


@torch.no_grad()
def run(
    bridge: Bridge, survey: str, stars: Stars, pixels: Pixels, snr: float, bounds: int, seed: int
) -> Loop:
    """Observe, fit as a user would, and bound."""
    spectra, rv = observe(bridge, survey, stars, pixels, snr, seed)
    found, names = fit_labels(bridge, spectra, survey), bridge.labels.names
    value, error = (
        np.stack([np.asarray(found[name + end]) for name in names], axis=1) for end in ("", "_error")
    )
    x = bridge.scale(torch.from_numpy(stars.labels[:bounds]))
    slope = bridge.scale.slope(x).abs().numpy()
    both = []
    for prior in (True, False):
        parts = []
        for start in range(0, bounds, BATCH):
            rows = np.arange(start, min(start + BATCH, bounds))
            seen = prepare(bridge, survey, spectra.take(rows))
            true = x[rows], torch.from_numpy(rv[rows])
            parts.append(cramer_rao(bridge, seen, *true, None, prior=prior).diagonal(dim1=1, dim2=2).sqrt())
        both.append(torch.cat(parts).numpy() * slope)
    return Loop(names, value - stars.labels, error, *both, stars.labels)


def chosen(bridge: Bridge, args: argparse.Namespace) -> tuple[Stars, Stars | None]:
    """Stars to test, and of a grid others that the noise is learned from."""
    if args.grid:
        own = held_out(bridge, args.grid, args.unseen)
        order = np.random.default_rng(2).permutation(len(own))
        test, other = own.take(order[len(order) // 3 :]), own.take(order[: len(order) // 3])
        if args.emulated:
            return Stars(test.take(np.arange(args.stars) % len(test)).labels), None
        print(f"{len(test)} distinct held-out spectra are tested, {len(other)} others teach the noise.\n")
        return test.take(np.arange(args.stars) % len(test)), other.take(np.arange(160) % len(other))
    if args.labels == "prior":
        return Stars(survey_like(bridge, args.stars, 1)), None
    return population(bridge, args.stars, 1), None


def report(loops: dict[float, Loop]) -> None:
    """Print the tables."""
    for snr, loop in loops.items():
        for title, part in (
            ("all stars", loop),
            ("4500 < Teff < 7000 K, [Fe/H] > -1", loop.where(loop.middle)),
        ):
            print(
                f"### S/N {snr:.0f}, {title}\n\n{table(TITLES, part.rows())}\n\n{part.verdict()}\n",
                flush=True,
            )


def main() -> None:
    """Run, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bridge")
    parser.add_argument("--grid", default="", help="shard with held-out spectra; left out: the emulator's")
    parser.add_argument("--unseen", action="store_true", help="no spectrum of --grid took part in training")
    parser.add_argument(
        "--emulated",
        action="store_true",
        help="labels of --grid, but the emulator's spectra: prior or emulator?",
    )
    parser.add_argument(
        "--labels", choices=("population", "prior"), default="population", help="without --grid"
    )
    parser.add_argument("--stars", type=int, default=600)
    parser.add_argument("--snr", type=float, nargs="+", default=[50.0, 100.0])
    parser.add_argument("--resolution", type=float, default=1800.0)
    parser.add_argument("--range", type=float, nargs=2, default=(3700.0, 7400.0), help="vacuum Å")
    parser.add_argument("--bounds", type=int, default=200, help="stars whose bounds are computed")
    parser.add_argument("--png", type=Path, default=Path("closed_loop.png"))
    args = parser.parse_args()
    bridge = load_bridge(args.bridge)
    survey = bridge.surveys[0]
    trial = plain(bridge, survey)
    trial.card = bridge.card
    pixels = Pixels.of(bridge, args.resolution, *args.range)
    stars, teachers = chosen(trial, args)
    args.bounds = min(args.bounds, len(stars))
    first, last = pixels.wavelength[[0, -1]]
    print(
        f"{len(stars)} stars, {first:.0f}–{last:.0f} Å, R = {args.resolution:.0f}, {len(pixels.wavelength)} px\n"
    )
    loops = {}
    for number, snr in enumerate(args.snr):
        if teachers is not None:
            trial = replace_noise(bridge, survey, teachers, pixels, snr)
        loops[snr] = run(trial, survey, stars, pixels, snr, args.bounds, 10 + number)
    report(loops)
    draw(loops, args.png)


def replace_noise(bridge: Bridge, survey: str, teachers: Stars, pixels: Pixels, snr: float) -> Bridge:
    """A survey of plain theory that has learned scatter and noise from other stars."""
    trial = plain(bridge, survey)
    learn(trial, survey, observe(trial, survey, teachers, pixels, snr, 3)[0])
    return trial


if __name__ == "__main__":
    main()
