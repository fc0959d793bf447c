"""One survey of known truth: theory that a training gets, stars that it gets, stars that score, and the truth."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from synth2obs.analysis.proof.features import find_features
from synth2obs.analysis.proof.missing import Lines, lines_removed, without
from synth2obs.analysis.proof.observe import Defects, Observed, Seeing, instrument_of, observe
from synth2obs.analysis.proof.population import chances, direction_of, divide, drawn, label_table, tilted
from synth2obs.analysis.proof.settings import SimulationConfig
from synth2obs.analysis.proof.truth import Truth
from synth2obs.analysis.proof.twist import Twist
from synth2obs.core.errors import DataError
from synth2obs.core.spectra import Spectra
from synth2obs.io.embedded import resolve
from synth2obs.io.reduce import cut_wavelengths
from synth2obs.io.shard.read import read_shard
from synth2obs.io.shard.write import write_shard

SURVEY = "survey"
"""Name of the simulated survey in a training."""

THEORY_FILE, SURVEY_FILE, HELD_FILE, TRUTH_FILE = "theory.h5", "survey.h5", "held.h5", "truth.npz"


@dataclass(frozen=True)
class Simulated:
    """A survey of known truth.

    Args:
        theory: What a training gets of the grid.
        survey: The stars that it gets, without labels.
        held: Stars of other spectra of nature, without labels.
        truth: Of both.
    """

    theory: Spectra
    survey: Spectra
    held: Spectra
    truth: Truth

    def write(self, folder: Path) -> None:
        """Two shards for a training, one to score, and the truth in a file that no training opens."""
        write_shard(self.theory, folder / THEORY_FILE)
        write_shard(self.survey, folder / SURVEY_FILE)
        write_shard(self.held, folder / HELD_FILE)
        self.truth.save(folder / TRUTH_FILE)


def simulate(config: SimulationConfig, twist: Twist, seed: int) -> Simulated:
    """Draw, observe and hide.

    Args:
        config: The survey that all scenarios begin with.
        twist: What this one changes.
        seed: Of every draw.

    Raises:
        DataError: If a shard is missing or of the wrong kind, a grid has too few spectra, lacks labels or gradients,
            or its spectra do not drift that far.
    """
    grid = read_kind(config.grid, "grid")
    nature = read_kind(twist.nature, "grid") if twist.nature else grid
    template = cut_wavelengths(read_kind(config.template, "survey"), config.start, config.stop)
    theory_rows, nature_rows = divide(grid, nature, config.nature_share, seed)
    theory, pool = grid.take(theory_rows), nature.take(nature_rows)
    drift = config.drift + twist.drift
    stars = _population(pool, config, drift, seed)
    seeing = Seeing(
        snr=config.snr, rv_spread=config.rv_spread, continuum=config.continuum, defects=twist.defects
    )
    seen = {
        part: observe(pool.take(rows), template, seeing, part, seed + number)
        for number, (part, rows) in enumerate(stars.items(), 1)
    }
    truth = _truth(pool, stars, seen, nature_rows, drift, twist.defects)
    if twist.missing:
        lines = _lines(grid, config, twist, seed)
        theory = without(theory, lines)
        truth = _with_lines(truth, lines, pool.take(stars["held"]), template, twist)
    if twist.nature:
        truth = _with_physics(truth, grid, pool.take(stars["held"]), template, twist)
    return Simulated(theory, seen[SURVEY].spectra, seen["held"].spectra, truth)


def read_kind(shard: str, kind: str) -> Spectra:
    """A shard of a grid or a survey.

    Raises:
        DataError: If it is missing, broken or of the other kind.
    """
    file = resolve(shard)
    spectra = read_shard(file)
    if spectra.kind != kind:
        raise DataError(
            f"is a {spectra.kind}, not a {kind}", path=file, field="kind", remedy=f"give a {kind}'s shard"
        )
    return replace(spectra, flags=None)


def _population(
    pool: Spectra, config: SimulationConfig, drift: float, seed: int
) -> Mapping[str, NDArray[np.intp]]:
    """Rows of the pool that the stars of both parts have; no spectrum is in both."""
    random, along = np.random.default_rng(seed), direction_of(pool, config.direction)
    order = np.argsort(chances(seed, "held", pool))
    cut = max(1, round(config.held * len(pool)))
    count = max(4, round(config.held * config.stars))
    parts = {SURVEY: (order[cut:], config.stars - count), "held": (order[:cut], count)}
    chosen = {}
    for part, (rows, stars) in parts.items():
        weight = tilted(along[rows], drift) if drift else np.ones(len(rows))
        chosen[part] = rows[drawn(weight, stars, random)]
    return chosen


def _truth(
    pool: Spectra,
    stars: Mapping[str, NDArray[np.intp]],
    seen: Mapping[str, Observed],
    origin: NDArray[np.intp],
    drift: float,
    defects: Defects,
) -> Truth:
    names = tuple(pool.labels)
    table, stated = label_table(pool, names), np.asarray(seen[SURVEY].spectra.wavelength, float)
    return Truth(
        label_names=np.array(names),
        labels=table[stars[SURVEY]],
        held_labels=table[stars["held"]],
        rv=seen[SURVEY].rv,
        held_rv=seen["held"].rv,
        spectrum=origin[stars[SURVEY]],
        held_spectrum=origin[stars["held"]],
        held_flux=seen["held"].clean,
        noise=defects.noise,
        line_spread=defects.line_spread,
        pixel_wavelength=stated,
        distortion=defects.distortion(stated),
        drift=drift,
    )


def _lines(grid: Spectra, config: SimulationConfig, twist: Twist, seed: int) -> Lines:
    features = find_features(grid, config.start, config.stop, twist.response)
    if not round(twist.missing * len(features)):
        raise DataError(
            f"{len(features)} lines of {grid.domain} move by {twist.response} per dex in "
            f"{config.start:.0f}–{config.stop:.0f} Å, so a share of {twist.missing} is none",
            field="response",
            remedy="lower response, raise share, or widen simulation.start and simulation.stop",
        )
    return lines_removed(grid, features, twist.missing, seed, twist.strength)


def _with_physics(truth: Truth, grid: Spectra, held: Spectra, template: Spectra, twist: Twist) -> Truth:
    """The truth about another physics: nature less theory, where the grid has the labels of every held-out star."""
    truth = replace(truth, listed=False)
    same = np.shape(held.wavelength) == np.shape(grid.wavelength) and np.allclose(
        held.wavelength, grid.wavelength, rtol=1e-8
    )
    place = {row.tobytes(): number for number, row in enumerate(_rounded(grid, truth.label_names))}
    rows = [place.get(row.tobytes(), -1) for row in truth.held_labels.astype(np.float32)]
    if not same or min(rows) < 0:
        return truth
    gap = _seen_at_rest(held, held.flux - grid.flux[rows], template, twist)
    return replace(
        truth, gap_wavelength=np.asarray(template.wavelength, float), gap=gap.mean(0).astype(float)
    )


def _rounded(grid: Spectra, names: NDArray[np.str_]) -> NDArray[np.float32]:
    return label_table(grid, tuple(names.tolist())).astype(np.float32)


@torch.no_grad()
def _seen_at_rest(
    nature: Spectra, rest: NDArray[np.floating], template: Spectra, twist: Twist
) -> NDArray[np.float32]:
    """Rest-frame functions on nature's grid (N, L) in the template's pixels, (N, P)."""
    still = torch.zeros(len(rest), dtype=torch.float64)
    flux = torch.from_numpy(np.asarray(rest, np.float32))
    seen: NDArray[np.float32] = instrument_of(nature, template, twist.defects)(flux, still).numpy()
    return seen


def _with_lines(truth: Truth, lines: Lines, held: Spectra, template: Spectra, twist: Twist) -> Truth:
    """The truth about lines that theory lacks, in the survey's pixels at rest."""
    gap = _seen_at_rest(held, lines.gap(held.flux), template, twist)
    wavelength = np.asarray(template.wavelength, float)
    middle = np.array([feature.wavelength for feature in lines.features])
    nearest = np.abs(wavelength[None] - middle[:, None]).argmin(1)
    return replace(
        truth,
        line_element=np.array([feature.element for feature in lines.features]),
        line_wavelength=middle,
        line_start=np.array([feature.start for feature in lines.features]),
        line_stop=np.array([feature.stop for feature in lines.features]),
        line_removed=lines.removed,
        line_depth=-gap[:, nearest].astype(float),
        gap_wavelength=wavelength,
        gap=gap.mean(0).astype(float),
    )
