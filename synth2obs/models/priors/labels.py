"""What is known of a star's labels before its spectrum: stellar evolution, and the abundances that stars have."""

import torch
from torch import Tensor, nn

from synth2obs.core.labels import STELLAR, LabelSpace
from synth2obs.core.trends import LOADINGS, OTHER_SCATTER, S_PROCESS, SCATTER
from synth2obs.models.contracts import PriorTerms
from synth2obs.models.emulator.scale import LabelScale
from synth2obs.models.priors.expected import ExpectedLabels
from synth2obs.models.priors.population import Population

DEPARTURE = 0.13
"""Prior σ in dex by which stars that follow no trend widen that of every element."""

SPREAD = {"c": 0.25, "n": 0.35}
"""Prior σ in dex of elements that stars themselves change, by more or less than the mean mixing."""

ALPHA_SPREAD, S_SPREAD = 0.12, 0.10
"""Prior σ in dex of the α elements together, as of magnesium, and of the s-process elements together, as of yttrium."""

VMIC_SPREAD = 0.3
"""Prior σ of vmic about its relation, km/s."""


class LabelPrior(nn.Module):
    r"""Prior over scaled labels: population over (Teff, log g, [Fe/H]), normal over the rest about what these expect.

    With c the means of `core.trends` at the stellar labels s of x, and C the covariance of single and common scatter,

    .. math:: -\ln p(x) = \tfrac12 (x - c(s))^T C^{-1} (x - c(s)) - \ln p(s) .

    No label of an observed star enters.

    Args:
        space: The grid's labels.
        scale: Their scaling.
        population: Density over (Teff, log g, [Fe/H]); None leaves these three flat.
    """

    precision: Tensor
    factor: Tensor
    rest: Tensor

    def __init__(self, space: LabelSpace, scale: LabelScale, population: Population | None) -> None:
        super().__init__()
        self.scale, self.population = scale, population
        self.expected = ExpectedLabels(space.names)
        self.stellar = [space.index(name) for name in STELLAR]
        rest = torch.tensor([name not in STELLAR for name in space.names])
        covariance = _covariance(space.names) * rest * rest[:, None]
        scaled = covariance / (scale.width[:, None] * scale.width)
        unit = torch.diag((~rest).double())
        self.register_buffer("factor", torch.linalg.cholesky(scaled + unit) - unit, persistent=False)
        self.register_buffer("precision", torch.linalg.inv(scaled + unit) - unit, persistent=False)
        self.register_buffer("rest", rest, persistent=False)

    def forward(self, x: Tensor) -> PriorTerms:
        """Half χ², gradient and curvature at scaled labels x, shape (B, K), float64."""
        offset, by_x = self._offset(x)
        pull = offset @ self.precision
        value, gradient = 0.5 * (offset * pull).sum(1), (pull[:, None] @ by_x)[:, 0]
        curvature = by_x.mT @ self.precision @ by_x
        if self.population is None:
            return PriorTerms(value, gradient, curvature)
        labels = self.scale.inverse(x)[:, self.stellar]
        slope = self.scale.slope(x)[:, self.stellar]
        steepness, bend = self.population.gauss_newton(labels)
        value = value - self.population.log_prob(labels)
        gradient[:, self.stellar] += steepness * slope
        rows = torch.tensor(self.stellar)
        curvature[:, rows[:, None], rows] += bend * slope[:, :, None] * slope[:, None, :]
        return PriorTerms(value, gradient, curvature)

    def draw(self, stellar: Tensor, generator: torch.Generator) -> Tensor:
        """Labels in their units of stars of given Teff, log g and [Fe/H], (N, 3) → (N, K), float64."""
        labels = self.expected(stellar).value
        labels[:, self.stellar] = stellar
        normal = torch.randn(labels.shape, generator=generator, dtype=torch.float64)
        return labels + self.scale.width * (normal @ self.factor.T)

    def _offset(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Distance from the mean where labels have one, and its Jacobian, shapes (B, K) and (B, K, K)."""
        labels = self.scale.inverse(x)
        mean = self.expected(labels[:, self.stellar])
        offset = (labels - mean.value) / self.scale.width * self.rest
        by_x = torch.eye(x.shape[1], dtype=x.dtype).repeat(len(x), 1, 1)
        slope = self.scale.slope(x)[:, None, self.stellar]
        by_x[:, :, self.stellar] -= mean.slope * slope / self.scale.width[:, None]
        return offset, by_x


def _covariance(names: tuple[str, ...]) -> Tensor:
    """Of the labels about their means, in their units, (K, K); meaningless for the stellar labels."""
    elements = [name.removesuffix("_fe") for name in names]
    single = torch.diag(
        torch.tensor([_spread(element) for element in elements], dtype=torch.float64).square()
    )
    alpha, slow = (
        torch.tensor([loadings.get(element, 0.0) for element in elements], dtype=torch.float64)
        for loadings in (LOADINGS, S_PROCESS)
    )
    return single + ALPHA_SPREAD**2 * alpha[:, None] * alpha + S_SPREAD**2 * slow[:, None] * slow


def _spread(element: str) -> float:
    """σ of one element alone in dex, or of vmic in km/s."""
    if element == "vmic":
        return VMIC_SPREAD
    own = (SCATTER.get(element, OTHER_SCATTER) ** 2 + DEPARTURE**2) ** 0.5
    return SPREAD.get(element, own)
