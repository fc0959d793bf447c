"""What is known of a star's labels before its spectrum: stellar evolution, and small abundance ratios."""

import torch
from torch import Tensor, nn

from synth2obs.core.labels import LabelSpace
from synth2obs.models.contracts import PriorTerms
from synth2obs.models.emulator.scale import LabelScale
from synth2obs.models.priors.population import Population

ALPHA = ("o_fe", "mg_fe", "si_fe", "s_fe", "ca_fe", "ti_fe")
"""Elements that vary together, as products of the same supernovae."""

SPREAD = {"c_fe": 0.25, "n_fe": 0.35}
"""Prior σ in dex of elements that stars themselves change by dredge-up."""

SINGLE, COMMON, VMIC = 0.15, 0.2, 0.25
"""Prior σ of one element alone (dex), of the α elements together (dex), of vmic about its relation (km/s)."""

STELLAR = ("teff", "logg", "fe_h")


class LabelPrior(nn.Module):
    r"""Prior over scaled labels: population over (Teff, log g, [Fe/H]), normal over the rest.

    Microturbulence follows 1.05 + 3·10⁻⁴ (Teff − 5500 K) − 0.35 (log g − 4) km/s within 0.6–2.6 km/s: a
    rough relation of our own with the signs that every spectroscopic calibration has (vmic rises with Teff,
    falls with log g); σ = 0.25 km/s covers their disagreement. No label of an observed star enters.

    Args:
        space: The grid's labels.
        scale: Their scaling.
        population: Density over (Teff, log g, [Fe/H]); None leaves these three flat.
    """

    precision: Tensor

    def __init__(self, space: LabelSpace, scale: LabelScale, population: Population | None) -> None:
        super().__init__()
        self.scale, self.population = scale, population
        self.vmic = space.names.index("vmic") if "vmic" in space.names else None
        self.stellar = [space.index(name) for name in STELLAR]
        self.register_buffer("precision", _precision(space, scale.width), persistent=False)

    def forward(self, x: Tensor) -> PriorTerms:
        """Half χ², gradient and curvature at scaled labels x, shape (B, K), float64."""
        offset = x - self._centre(x)
        pull = offset @ self.precision
        curvature = self.precision.expand(len(x), -1, -1).clone()
        value, gradient = 0.5 * (offset * pull).sum(1), pull.clone()
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

    def _centre(self, x: Tensor) -> Tensor:
        """Expected scaled labels: solar ratios and the vmic relation, whose slope the gradient leaves out."""
        labels = torch.zeros_like(x)
        labels[:, self.scale.teff] = 5040.0
        if self.vmic is not None:
            stellar = self.scale.inverse(x)[:, self.stellar]
            vmic = 1.05 + 3e-4 * (stellar[:, 0] - 5500.0) - 0.35 * (stellar[:, 1] - 4.0)
            labels[:, self.vmic] = vmic.clamp(0.6, 2.6)
        return self.scale(labels)


def _precision(space: LabelSpace, width: Tensor) -> Tensor:
    """Inverse prior covariance over scaled labels, 0 for the labels that the population describes."""
    sigma = torch.tensor([SPREAD.get(name, SINGLE) for name in space.names], dtype=torch.float64)
    covariance = torch.diag(sigma.square())
    alpha = torch.tensor([name in ALPHA for name in space.names])
    covariance += COMMON**2 * (alpha[:, None] & alpha)
    if "vmic" in space.names:
        covariance[space.index("vmic"), space.index("vmic")] = VMIC**2
    scaled = covariance / (width[:, None] * width)
    rest = torch.tensor([name not in STELLAR for name in space.names])
    precision = torch.zeros_like(scaled)
    rows = rest.nonzero()[:, 0]
    precision[rows[:, None], rows] = torch.cholesky_inverse(torch.linalg.cholesky(scaled[rows][:, rows]))
    return precision
