"""Is a wavelength distortion the instrument's? Halves of the stars, and two telescopes compared without any theory.

    python experiments/07_proof/wavelengths.py synth2obs-quickstart/bridge stelib miles

Stars that both telescopes have are correlated window by window, the spectrum of one against that of the other; beside
it stands what training learned of each from its own stars and theory, and what two halves of these say.
"""

import argparse

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from synth2obs import load_bridge
from synth2obs.analysis.bare import bare, with_survey
from synth2obs.core.constants import C_KMS, MAD_TO_SIGMA
from synth2obs.core.spectra import Spectra
from synth2obs.models.bridge import Bridge
from synth2obs.models.distortion import WavelengthDistortion
from synth2obs.models.fit.distortion import MEDIAN_ERROR, learn_distortion
from synth2obs.models.noise.survey_noise import SurveyNoise
from synth2obs.training.config import TrainConfig
from synth2obs.training.domains import SurveyData, load_domains
from synth2obs.training.stages.instrument import FLOOR

Floats = NDArray[np.float64]

STEP, FARTHEST = 5e-5, 80
"""Samples in ln λ, 15 km/s each, and the largest shift that is tried."""

BROAD, BLUR = 300, 4
"""Widths in samples of what counts as continuum, and of a blur that makes both telescopes more alike."""

FEWEST, UNSURE = 200, 10.0
"""Samples of a window at least; km/s of error beyond which it is left out of the last line."""


def contrast(spectra: Spectra, row: int, grid: Floats) -> Floats:
    """Flux over its own continuum, minus 1, blurred; 0 where masked."""
    wavelength = spectra.wavelength if spectra.shared_wavelength else spectra.wavelength[row]
    assert spectra.ivar is not None
    flux = np.interp(grid, wavelength, np.where(spectra.ivar[row] > 0, spectra.flux[row], np.nan))
    good = np.isfinite(flux).astype(float)
    level = gaussian_filter1d(np.nan_to_num(flux), BROAD) / np.maximum(gaussian_filter1d(good, BROAD), 1e-3)
    return np.asarray(gaussian_filter1d(np.nan_to_num(flux / level - 1.0), BLUR))


def shift(one: Floats, two: Floats, inside: NDArray[np.intp]) -> float:
    """Velocity of ``one`` against ``two`` in a window in km/s, NaN if it is at an end of what is tried."""
    lags = np.arange(-FARTHEST, FARTHEST + 1)
    moved = two[np.clip(inside - lags[:, None], 0, len(two) - 1)]
    misfit = ((one[inside] - one[inside].mean() - moved + moved.mean(1, keepdims=True)) ** 2).sum(1)
    best = int(misfit.argmin())
    if best in (0, len(lags) - 1):
        return float("nan")
    before, here, after = misfit[best - 1 : best + 2]
    return float((lags[best] + 0.5 * (before - after) / (before - 2.0 * here + after)) * STEP * C_KMS)


def direct(first: SurveyData, second: SurveyData, own: WavelengthDistortion) -> tuple[Floats, Floats, int]:
    """Velocity of one telescope against the other in the windows of the first, its error, and shared stars."""
    ends = np.linspace(
        float(own.middle[0] - own.reach[0]), float(own.middle[0] + own.reach[0]), own.windows + 1
    )
    log_wave = np.arange(ends[0] + 2e-3, ends[-1] - 2e-3, STEP)
    rows = {star: row for row, star in enumerate(second.star)}
    pairs = [(row, rows[star]) for row, star in enumerate(first.star) if star in rows]
    windows = [
        np.nonzero((log_wave >= low) & (log_wave < high))[0]
        for low, high in zip(ends, ends[1:], strict=False)
    ]
    table = np.full((len(pairs), own.windows), np.nan)
    for place, (one, two) in enumerate(pairs):
        left, right = (
            contrast(first.spectra, one, np.exp(log_wave)),
            contrast(second.spectra, two, np.exp(log_wave)),
        )
        table[place] = [shift(left, right, part) if len(part) > FEWEST else np.nan for part in windows]
    table -= np.nanmedian(table, axis=1, keepdims=True)
    middle = np.nanmedian(table, axis=0)
    spread = MAD_TO_SIGMA * np.nanmedian(np.abs(table - middle), axis=0)
    return middle, MEDIAN_ERROR * spread / np.sqrt(np.isfinite(table).sum(0)), len(pairs)


def halves(bridge: Bridge, survey: str, data: SurveyData, config: TrainConfig) -> list[Floats]:
    """The distortion in km/s at its windows from every other of the stars that training could have used."""
    rows, found = data.rows("train")[: 2 * config.latent.width_stars], []
    for some in (rows[::2], rows[1::2]):
        model = bare(bridge.survey(survey))
        model.distortion = WavelengthDistortion(model.wavelength, model.segment)
        model.noise = SurveyNoise()
        model.gap.scatter.fill_(FLOOR**2)
        other = with_survey(bridge, survey, model)
        learn_distortion(other, survey, data.spectra.take(some), config.latent.distortion_degree)
        found.append(model.distortion.at_windows().numpy())
    return found


def centred(values: Floats, good: NDArray[np.bool_]) -> Floats:
    """Without the mean over good windows."""
    return np.asarray(values - values[good].mean())


def main() -> None:
    """Print the table of a bridge and two of its surveys, each of one detector."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bridge")
    parser.add_argument("first")
    parser.add_argument("second")
    args = parser.parse_args()
    bridge = load_bridge(args.bridge)
    config = TrainConfig(**bridge.card["config"])
    torch.set_num_threads(config.threads)
    surveys = load_domains(config.data, config.seed).surveys
    one, two = (bridge.survey(name).distortion for name in (args.first, args.second))
    seen, error, count = direct(surveys[args.first], surveys[args.second], one)
    good = error < UNSURE
    columns = {
        f"{args.first} − {args.second}, no theory": centred(seen, good),
        "error": error,
        f"{args.first}, windows by theory": centred(one.window_velocity[0].numpy(), good),
        f"{args.second}, windows by theory": centred(two.window_velocity[0].numpy(), good),
        f"{args.first}, applied": centred(one.at_windows().numpy(), good),
    }
    for name in (args.first, args.second):
        for half, values in enumerate(halves(bridge, name, surveys[name], config), 1):
            columns[f"{name}, half {half}"] = centred(values, good)
    print(f"{count} shared stars; km/s, means over sure windows taken off\n")
    print(f"| Å | {' | '.join(columns)} |\n|{' --- |' * (len(columns) + 1)}")
    for place, wavelength in enumerate(one.window_centres()[0].tolist()):
        print(f"| {wavelength:.0f} | {' | '.join(f'{column[place]:.1f}' for column in columns.values())} |")
    first, _, by_theory, other, applied, *_ = (column[good] for column in columns.values())
    for name, values in (("windows", by_theory - other), ("applied", applied)):
        print(f"\nrms without theory {first.std():.1f}; minus {name} {(first - values).std():.1f} km/s")


if __name__ == "__main__":
    main()
