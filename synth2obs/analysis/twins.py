"""Numbers of one star in two surveys: whether its latents agree, and what is left of a spectrum beyond all errors."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth2obs.analysis.agreement import difference_covariance, spread, whitened
from synth2obs.analysis.bootstrap import over_stars
from synth2obs.analysis.carried import moved, prediction_variance, with_own_noise
from synth2obs.analysis.flags import UNUSABLE, quality
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.result import Fit, LatentFit


def described(bridge: Bridge, survey: str, fit: Fit) -> Tensor:
    """Stars that a survey's model describes: no poor fit, enough good pixels, shape (N,)."""
    return torch.from_numpy(quality(fit, len(bridge.survey(survey).wavelength)) & UNUSABLE == 0)


@torch.no_grad()
def latent_pulls(bridge: Bridge, names: tuple[str, str], first: LatentFit, second: LatentFit) -> Tensor:
    """Differences of latents along the axes of their covariance, in its σ, shape (N, D); see `agreement`.

    The first survey's latents are brought into the second's place. Both have the prior N(0, I), and each star the
    noise that its own χ² per pixel says, where that is above 1.
    """
    source, target = (bridge.survey(name) for name in names)
    u, slope = moved(target, source, first.u)
    prior = torch.eye(u.shape[1], dtype=u.dtype)
    noise = torch.stack([fit.chi2_per_pixel.clamp(min=1.0) for fit in (first, second)])
    brought = slope @ first.covariance @ slope.mT
    return whitened(second.u - u, difference_covariance(brought, second.covariance, prior, noise))


@torch.no_grad()
def latent_difference(
    bridge: Bridge, names: tuple[str, str], first: LatentFit, second: LatentFit
) -> dict[str, Any]:
    """How far latents of the same stars are apart, in units of what their errors let expect.

    Returns:
        ``n`` stars that both surveys describe; ``width``, the robust standard deviation of their pulls about 0 (1 if
        errors are right), and its ``width_error`` by bootstrap over stars; ``width_all`` that of all stars.
    """
    pulls = latent_pulls(bridge, names, first, second).numpy()
    both = described(bridge, names[0], first) & described(bridge, names[1], second)
    known = pulls[both.numpy()]
    score = over_stars(lambda rows: spread(known[rows].flatten()), len(known))
    return {
        "n": len(known),
        "width": score.value,
        "width_error": score.error,
        "width_all": spread(pulls.flatten()),
    }


@torch.no_grad()
def translation_chi2(
    bridge: Bridge,
    source: LatentFit,
    names: tuple[str, str],
    seen: Observation,
    fit: LatentFit,
    own: LatentFit,
) -> dict[str, Any]:
    """χ² per pixel of spectra predicted from another telescope, with all that makes the prediction uncertain.

    Args:
        bridge: Trained.
        source: Encoding of the source's spectra.
        names: Of source and target.
        seen: The target's spectra.
        fit: Of these at the source's latents: velocity and continuum alone.
        own: Encoding of the target's spectra themselves, the least that this bridge can leave.

    Returns:
        ``chi2_with_source``, with the target's noise and scatter, the source's noise that its latents carry, and the
        error of the target's gap, and ``chi2_own``, of the encoding; medians over stars. ``described``: of the stars
        that both surveys describe, ``n``, ``chi2`` (the target's noise and scatter alone) and the same two.
    """
    u, slope = moved(bridge.survey(names[1]), bridge.survey(names[0]), source.u)
    covariance = slope @ with_own_noise(source) @ slope.mT
    carried, gap = prediction_variance(bridge, seen, fit, u, covariance)
    both = described(bridge, names[0], source) & described(bridge, names[1], own)
    columns = {
        "chi2": fit.chi2_per_pixel.double().numpy(),
        "chi2_with_source": _chi2(fit, carried + gap),
        "chi2_own": own.chi2_per_pixel.double().numpy(),
    }
    known = {
        "n": int(both.sum()),
        **{name: _median(values[both.numpy()]) for name, values in columns.items()},
    }
    whole = {name: _median(values) for name, values in columns.items() if name != "chi2"}
    return {**whole, "described": known}


def _chi2(fit: LatentFit, more: Tensor) -> NDArray[np.float64]:
    """χ² per pixel with more variance (N, P), in units of the continuum squared, than that of the target, (N,)."""
    good = fit.ivar > 0
    variance = 1.0 / (fit.ivar * fit.continuum.square()).double().where(good, 1.0) + more
    left = (fit.residual.double().square() / variance).where(good, 0.0)
    return (left.sum(1) / good.sum(1).clamp(min=1)).numpy()


def _median(values: NDArray[np.float64]) -> float | None:
    return float(np.median(values)) if len(values) else None
