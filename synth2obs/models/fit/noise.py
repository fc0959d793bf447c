r"""What the residuals of a survey's stars say of its noise: `models.noise.survey_noise`.

White noise has no covariance between pixels, so that covariances at lags of k pixels are theory's error alone, at any
signal-to-noise. With r a residual, s the scatter and w the inverse variance of a pixel, all in units of the continuum,

.. math:: \rho_k = \frac{\sum_p z_p z_{p+k}}{\sum_p q_p q_{p+k}} , \qquad z = r s w , \quad q = s^2 w ,

is the error's autocorrelation, pixels in which noise prevails counting little. Beyond the reach of a line it is
:math:`b\, e^{-k/\ell}`, the wide part; what is left within that reach is the narrow part, and its sum over all lags
says how often it counts.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.result import Fit
from synth2obs.models.noise.survey_noise import NUMBERS
from synth2obs.models.survey import SurveyModel

GROUPS = 8
"""Parts of the stars, each left out once, from which errors follow (jackknife)."""

REACH = 3.5
"""Widths σ of the line spread beyond which an error is wide."""

LONGEST = 120
"""Longest lag in pixels."""

STRANGE = 5.0
"""Residuals beyond so many σ of their pixel are left out."""

LEAST = 0.3
"""Least that narrow errors count, and how well the quoted noise is believed to be known (ln, 1 σ)."""

ROUNDS, CLIP, CLIPPED = 8, 3.0, 0.9950
"""Steps of the factor on the noise; residuals in σ that count as no more, and the mean square of a normal one then."""

NEGLIGIBLE = 0.02
"""Share of the scatter below which there is no wide part."""

LENGTHS = torch.logspace(math.log10(2.0), math.log10(50.0), 60, dtype=torch.float64)
"""Lengths ℓ in pixels that are tried."""


class _Residuals(NamedTuple):
    """All in units of the continuum, shape (N, P); 0 where masked."""

    value: Tensor
    noise: Tensor  # variance as it is quoted
    scatter: Tensor  # s², and the emulator's
    good: Tensor


class _Sums(NamedTuple):
    """Of every star, float64."""

    products: Tensor  # (N, K + 1) Σ z z_k
    expected: Tensor  # (N, K + 1) Σ q q_k


@torch.no_grad()
def learn_noise(
    model: SurveyModel,
    seen: Observation,
    fit: Fit,
    rows: Tensor | None = None,
    theory: Tensor | None = None,
) -> dict[str, float]:
    """Set a survey's noise to what its stars' residuals say, given its scatter.

    Args:
        model: Changed in place.
        seen: The spectra, N stars.
        fit: Their fit.
        rows: Stars that take part; all by default.
        theory: Variance of the emulator's error on the rest grid, (N, L), which residuals have beside the scatter.

    Returns:
        The numbers by name; without a star they stay.
    """
    chosen = torch.arange(len(seen)) if rows is None else rows
    if not len(chosen):
        return {name: float(getattr(model.noise, name)) for name in NUMBERS}
    step = _step(seen)
    reach = math.ceil(REACH * seen.width / step)
    own = _residuals(model, seen, fit, chosen, theory)
    white = _white(own)
    group = torch.arange(len(chosen)) % min(GROUPS, len(chosen))
    sums = _sums(own, white, seen.segment)
    values = [_numbers(sums, group != left, reach) for left in [-1, *group.unique().tolist()]]
    errors = _jackknife(torch.tensor(values[1:], dtype=torch.float64))
    found = {"white": white, "narrow": values[0][0], "wide": values[0][1], "length": values[0][2] * step}
    spread = {
        "white": _white_error(own, group),
        "narrow": float(errors[0]),
        "wide": float(errors[1]),
        "length": float(errors[2]) * step,
    }
    for name in NUMBERS:
        getattr(model.noise, name).fill_(found[name])
        getattr(model.noise, f"{name}_error").fill_(spread[name])
    return found


def _step(seen: Observation) -> float:
    return float(seen.log_wave.diff(dim=-1).median())


def _residuals(
    model: SurveyModel, seen: Observation, fit: Fit, rows: Tensor, theory: Tensor | None
) -> _Residuals:
    parts = []
    for some in rows.split(64):
        variance = model.gap.scatter.expand(len(some), -1)
        spread = (variance if theory is None else variance + theory[some]).sqrt()
        scatter = seen.instrument(spread, fit.rv[some], 0.0, seen.instrument_rows(some))
        level = fit.continuum[some].square()
        good = (fit.ivar[some] > 0) & (level > 1e-6)
        scale = model.noise.error_scale(seen.rows("log_wave", some)).to(level)
        noise = (scale.square() / (seen.ivar[some] * level).clamp(min=1e-20)).where(good, 1.0)
        parts.append((fit.residual[some], noise, scatter.square().clamp(min=1e-10), good))
    return _Residuals(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


def _white(own: _Residuals) -> float:
    r"""Factor k on the quoted variance, by scoring, together with a factor f on the scatter.

    .. math:: \ln k \leftarrow \ln k + \frac{\sum q (r^2 w - 1)}{\sum q^2} , \qquad q = k \sigma^2 w ,

    is the step of k alone; with f, whose share is 1 - q, what only says that the scatter is too small is not taken for
    noise. The prior is that quoted errors are right to 30 %; as neighbouring pixels err together, ten count as one.
    """
    logs, believed = torch.zeros(2, dtype=torch.float64), torch.tensor([LEAST**-2, 1e-3], dtype=torch.float64)
    for _ in range(ROUNDS):
        noise, scatter = float(logs[0].exp()) * own.noise, float(logs[1].exp()) * own.scatter
        variance = noise + scatter
        excess = (own.value.square() / variance).clamp(max=CLIP**2) / CLIPPED - 1.0
        shares = torch.stack([part.div(variance).where(own.good, 0.0) for part in (noise, scatter)]).flatten(
            1
        )
        slope = 0.05 * (shares @ excess.where(own.good, 0.0).flatten()).double() - believed * logs
        bend = 0.05 * (shares @ shares.T).double() + torch.diag(believed)
        logs = (logs + torch.linalg.solve(bend, slope).clamp(-1.0, 1.0)).clamp(-3.0, 3.0)
    return float(logs[0].exp())


def _white_error(own: _Residuals, group: Tensor) -> float:
    values = [_white(_Residuals(*(part[group != left] for part in own))) for left in group.unique().tolist()]
    return float(_jackknife(torch.tensor(values, dtype=torch.float64)[:, None])[0])


def _sums(own: _Residuals, white: float, segment: Tensor) -> _Sums:
    weight = 1.0 / (white * own.noise + own.scatter)
    usual = own.good & (own.value.square() * weight < STRANGE**2)
    z = (own.value * own.scatter.sqrt() * weight).where(usual, 0.0)
    q = (own.scatter * weight).where(usual, 0.0)
    longest = min(LONGEST, z.shape[1] // 4)
    products: list[Tensor] = []
    expected: list[Tensor] = []
    for lag in range(longest + 1):
        same = segment[lag:] == segment[: len(segment) - lag]
        for rows, total in ((z, products), (q, expected)):
            total.append((rows[:, lag:] * rows[:, : rows.shape[1] - lag] * same).double().sum(1))
    return _Sums(torch.stack(products, 1), torch.stack(expected, 1))


def _numbers(sums: _Sums, rows: Tensor, reach: int) -> tuple[float, float, float]:
    """Narrow, wide and length in pixels, from some of the stars."""
    rho = sums.products[rows].sum(0) / sums.expected[rows].sum(0).clamp(min=1e-30)
    wide, length, lost = _tail(rho, reach)
    lags = torch.arange(1, min(reach, len(rho)), dtype=torch.float64)
    inside = rho[1:reach] - wide * torch.exp(-lags / length) + lost
    # A scatter that is robust, or that k has taken from, is too small for the covariances; their peak is at lag 0.
    single = max(1.0 - wide + lost, *inside[:1].tolist(), 0.0)
    narrow = single + 2.0 * float(inside.sum())
    return max(narrow, LEAST), wide, length if wide > 0 else 0.0


def _tail(rho: Tensor, reach: int) -> tuple[float, float, float]:
    """Height b, length ℓ and loss c of b e^(−k/ℓ) − c at lags from ``reach`` on; 0, 1 and 0 where it is negligible.

    The continuum, fitted to the same pixels, takes the broadest errors away: c ≥ 0 at all lags, the shortest included.
    """
    beyond = rho[reach:]
    if len(beyond) < 4:
        return 0.0, 1.0, 0.0
    lags = torch.arange(reach, len(rho), dtype=torch.float64)
    shapes = torch.exp(-lags / LENGTHS[:, None])
    columns = torch.stack([shapes, -torch.ones_like(shapes)], dim=2)
    height, lost = (
        torch.linalg.lstsq(columns, beyond[:, None].expand(len(LENGTHS), -1, 1)).solution[..., 0].unbind(1)
    )
    alone = (shapes @ beyond / shapes.square().sum(1)).clamp(min=0.0)
    height, lost = torch.where(lost > 0, height, alone).clamp(min=0.0), lost.clamp(min=0.0)
    misfit = (beyond - height[:, None] * shapes + lost[:, None]).square().sum(1)
    best = int(misfit.argmin())
    found = float(height[best]), float(LENGTHS[best]), float(lost[best])
    return found if found[0] > NEGLIGIBLE else (0.0, 1.0, 0.0)


def _jackknife(values: Tensor) -> Tensor:
    """Errors of numbers (G, Q) found with one of G groups left out each, shape (Q,)."""
    count = len(values)
    return ((values - values.mean(0)).square().sum(0) * (count - 1) / max(count, 1)).sqrt()
