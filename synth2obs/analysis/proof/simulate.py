"""One survey of known truth: theory that a training gets, stars that it gets, stars that score, and the truth."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from synth2obs.analysis.proof.features import find_features
from synth2obs.analysis.proof.missing import Lines, lines_removed, shared_out, without
from synth2obs.analysis.proof.observe import Defects, Observed, Seeing, observe, usable_template
from synth2obs.analysis.proof.population import chances, direction_of, divide, drawn, label_table, tilted
from synth2obs.analysis.proof.settings import SimulationConfig
from synth2obs.analysis.proof.true_gap import with_lines, with_physics
from synth2obs.analysis.proof.truth import Truth
from synth2obs.analysis.proof.twist import Twist
from synth2obs.core.errors import DataError
from synth2obs.core.spectra import Spectra
from synth2obs.io.embedded import resolve
from synth2obs.io.reduce import cut_wavelengths
from synth2obs.io.shard.read import read_shard
from synth2obs.io.shard.write import write_shard

SURVEY, SECOND = "survey", "second"
"""Names of the simulated surveys in a training."""

THEORY_FILE, SURVEY_FILE, HELD_FILE, TRUTH_FILE = "theory.h5", "survey.h5", "held.h5", "truth.npz"

APART = 100
"""Between the seeds of two surveys of the same stars."""


@dataclass(frozen=True)
class Simulated:
    """A survey of known truth.

    Args:
        theory: What a training gets of the grid.
        survey: The stars that it gets, without labels.
        held: Stars of other spectra of nature, without labels.
        truth: Of both.
        second: The same stars, of the same theory, as another survey has them; None for one survey.
    """

    theory: Spectra
    survey: Spectra
    held: Spectra
    truth: Truth
    second: "Simulated | None" = None

    def write(self, folder: Path, name: str = SURVEY) -> None:
        """Shards for a training, one to score, and the truth in a file that no training opens, for every survey."""
        write_shard(self.theory, folder / THEORY_FILE)
        write_shard(self.survey, folder / file_of(name, SURVEY_FILE))
        write_shard(self.held, folder / file_of(name, HELD_FILE))
        self.truth.save(folder / file_of(name, TRUTH_FILE))
        if self.second is not None:
            self.second.write(folder, SECOND)


def surveys_of(twist: Twist) -> tuple[str, ...]:
    """Names of the surveys that a scenario simulates."""
    return (SURVEY, SECOND) if twist.second else (SURVEY,)


def file_of(survey: str, file: str) -> str:
    """Name of a survey's file in a folder that may have two of them."""
    if survey == SURVEY:
        return file
    return file.replace(SURVEY, survey) if file == SURVEY_FILE else f"{survey}_{file}"


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
    theory_rows, nature_rows = divide(grid, nature, config.nature_share, seed)
    theory, pool = grid.take(theory_rows), nature.take(nature_rows)
    drift = config.drift + twist.drift
    stars = _population(pool, config, twist, seed)
    lines = _lines(grid, config, twist, seed) if twist.missing else None
    if lines is not None:
        theory = without(theory, lines)
    sky = _Sky(config, twist, grid, pool, nature_rows, stars, drift)
    if not twist.second or lines is None:
        return sky.seen(theory, config.template, seed, lines)
    own, others = shared_out(grid, lines, seed, twist.strength)
    first = sky.seen(theory, config.template, seed, own, others)
    rv = {SURVEY: first.truth.rv, "held": first.truth.held_rv}
    return replace(first, second=sky.seen(theory, twist.second, seed + APART, others, own, rv))


@dataclass(frozen=True)
class _Sky:
    """Stars to be observed, and by what they were drawn.

    Args:
        pool: Nature's spectra, which are rows ``origin`` of its grid.
        stars: Rows of the pool, of stars that train and of stars that score.
    """

    config: SimulationConfig
    twist: Twist
    grid: Spectra
    pool: Spectra
    origin: NDArray[np.intp]
    stars: Mapping[str, NDArray[np.intp]]
    drift: float

    def seen(
        self,
        theory: Spectra,
        survey: str,
        seed: int,
        lines: Lines | None = None,
        others: Lines | None = None,
        rv: Mapping[str, NDArray[np.float64]] | None = None,
    ) -> Simulated:
        """The stars as a survey has them.

        Args:
            theory: What a training gets.
            survey: Shard of the template.
            seed: Of velocities, continua, masks and noise.
            lines: That theory lacks and the survey has.
            others: That theory lacks and the survey lacks, too.
            rv: Velocities in km/s; drawn if None.
        """
        config, twist = self.config, self.twist
        template = usable_template(cut_wavelengths(read_kind(survey, "survey"), config.start, config.stop))
        seeing = Seeing(
            snr=config.snr, rv_spread=config.rv_spread, continuum=config.continuum, defects=twist.defects
        )
        pool = self.pool if others is None else without(self.pool, others)
        seen = {
            part: observe(
                pool.take(rows), template, seeing, part, seed + number, None if rv is None else rv[part]
            )
            for number, (part, rows) in enumerate(self.stars.items(), 1)
        }
        truth = _truth(self.pool, self.stars, seen, self.origin, self.drift, twist.defects)
        held = self.pool.take(self.stars["held"])
        if lines is not None:
            truth = with_lines(truth, lines, held, template, twist, others)
        if twist.nature:
            truth = with_physics(truth, self.grid, held, template, twist)
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
    pool: Spectra, config: SimulationConfig, twist: Twist, seed: int
) -> Mapping[str, NDArray[np.intp]]:
    """Rows of the pool that the stars of both parts have; no spectrum is in both."""
    random, along = np.random.default_rng(seed), direction_of(pool, config.direction)
    drift = config.drift + twist.drift
    order = np.argsort(chances(seed, "held", pool))
    cut = max(1, round(config.held * len(pool)))
    count = max(4, round(config.held * config.stars))
    parts = {SURVEY: (order[cut:], config.stars - count), "held": (order[:cut], count)}
    chosen = {}
    for part, (rows, stars) in parts.items():
        weight = tilted(along[rows], drift) if drift else np.ones(len(rows))
        chosen[part] = rows[drawn(weight, stars, random)]
        if part == SURVEY and twist.stars:
            # Stars that score are the same, however many train.
            chosen[part] = rows[drawn(weight, twist.stars, np.random.default_rng(seed))]
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
