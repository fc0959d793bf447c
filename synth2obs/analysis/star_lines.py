"""Lines of a gap in every star, and how lines of theory change from star to star."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from synth2obs.analysis.elements import StarAbundances, element_evidence
from synth2obs.analysis.lines import Line
from synth2obs.core.constants import BALMER_REACH
from synth2obs.core.wavelengths import from_balmer
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.refine import teachers
from synth2obs.models.fit.restframe import to_rest
from synth2obs.models.fit.result import LabelFit
from synth2obs.models.gap.features import polynomial

Floats = NDArray[np.float64]

TRACERS = ("teff", "logg", "fe_h", "vmic")
"""Labels with which the depth of any line changes, where the grid has them."""

NOT_ELEMENTS = ("fe_h", "alpha_fe")

SHALLOWEST = 0.03
"""Mean depth above which a minimum of theory's spectra is a line."""

RIDGE, FLOOR = 1e-2, 0.05
"""Of the regression of a line's ln depth, and least width of the coefficients' prior."""


@dataclass(frozen=True, kw_only=True)
class StarLines:
    """What theory leaves of stars without a gap. N stars, L cells.

    Args:
        wavelength: Of the cells, rest frame, vacuum Å, shape (L,).
        residual: Observed minus predicted flux, the prediction without the gap's own term, shape (N, L).
        variance: Of its noise and of theory's error, infinite where masked, shape (N, L).
        cells: Neighbouring cells that one pixel covers.
        known: What is known of the stars.
    """

    wavelength: Floats
    residual: NDArray[np.float32]
    variance: NDArray[np.float32]
    cells: float
    known: StarAbundances

    def depths(self, line: Line, gap: Floats) -> tuple[Floats, Floats]:
        """Depth of a line of the mean gap (L,) in every star by its profile there, and its variance, (N,) each.

        Positive where a star has more of what the mean gap has, whether that absorbs or not.
        """
        inside = (self.wavelength >= line.start) & (self.wavelength <= line.stop) & np.isfinite(gap)
        sign = np.sign(line.depth) or 1.0
        profile = np.clip(-sign * gap[inside], 0.0, None)
        profile = profile / max(float(profile.max(initial=0.0)), 1e-12)
        weight = profile / self.variance[:, inside]
        power = (weight * profile).sum(1)
        found = -sign * (weight * self.residual[:, inside]).sum(1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(power > 0, found / power, np.nan), np.where(power > 0, self.cells / power, np.inf)

    def evidence(self, line: Line, gap: Floats) -> dict[str, float]:
        """`elements.element_evidence` of a line."""
        return element_evidence(self.known, *self.depths(line, gap))


def abundance_labels(bridge: Bridge) -> dict[str, int]:
    """Columns of a grid's [X/Fe] by element."""
    names = [name for name in bridge.labels.names if name.endswith("_fe") and name not in NOT_ELEMENTS]
    return {name.removesuffix("_fe").capitalize(): bridge.labels.index(name) for name in names}


@torch.no_grad()
def star_lines(bridge: Bridge, seen: Observation, fit: LabelFit) -> StarLines:
    """Residuals and abundances of stars that may shape a gap.

    Args:
        bridge: By which the labels were fitted.
        seen: The stars.
        fit: Their labels, with errors.
    """
    model, grid = bridge.survey(seen.survey), bridge.decoder_of(seen.survey).rest_wavelength
    residual, ivar = to_rest(seen, fit, grid)
    residual += model.gap(bridge.gap_features(seen.survey, fit.x).float())
    variance = model.noise.variance(ivar, grid.log()) + bridge.theory_variance(seen.survey, fit.x)
    variance = variance.float().masked_fill(ivar <= 0, torch.inf)
    kept = teachers(bridge, fit, model.gap.config.outlier)
    pixel, cell = (float(w.diff().median()) for w in (model.wavelength, grid))
    return StarLines(
        wavelength=grid.numpy(),
        residual=residual[kept].numpy(),
        variance=variance[kept].numpy(),
        cells=max(1.0, pixel / cell),
        known=_known(bridge, seen.survey, fit, kept),
    )


def _known(bridge: Bridge, survey: str, fit: LabelFit, kept: torch.Tensor) -> StarAbundances:
    x, elements = fit.x[kept], abundance_labels(bridge)
    tracers = [bridge.labels.index(name) for name in TRACERS if name in bridge.labels.names]
    terms, slopes = polynomial(x[:, tracers], 2)
    unit = torch.ones_like(x)
    own = list(elements.values())
    unit[:, own] = bridge.scale.slope(x)[:, own]
    columns = [*tracers, *own]
    covariance = (fit.covariance[kept] * unit[:, :, None] * unit[:, None, :])[:, columns][:, :, columns]
    abundances = bridge.scale.inverse(x)[:, own].numpy()
    usual, spread = usual_behaviour(_depths_of_theory(bridge, survey, x), terms.numpy(), abundances)
    return StarAbundances(
        elements=tuple(elements),
        terms=terms.numpy(),
        slopes=slopes.numpy(),
        abundances=abundances,
        covariance=covariance.numpy(),
        usual=usual,
        spread=spread,
    )


def _depths_of_theory(bridge: Bridge, survey: str, x: torch.Tensor) -> Floats:
    """Depth of theory's lines between a survey's ends at scaled labels, at the grid's resolution, (lines, N)."""
    flux = bridge.rest_flux(bridge.scale.inverse(x), survey).numpy().astype(float)
    wavelength = bridge.decoder_of(survey).rest_wavelength.numpy()
    ends = bridge.survey(survey).wavelength.numpy()
    mean = flux.mean(0) if len(flux) else np.ones(len(wavelength))
    padded = np.concatenate([[np.inf], mean, [np.inf]])
    lowest = (mean <= padded[:-2]) & (mean < padded[2:]) & (mean < 1.0 - SHALLOWEST)
    lowest &= (wavelength > ends[0]) & (wavelength < ends[-1])
    lowest &= from_balmer(wavelength) > BALMER_REACH
    return np.asarray(1.0 - flux[:, lowest].T)


def usual_behaviour(depths: Floats, terms: Floats, abundances: Floats) -> tuple[Floats, Floats]:
    """How ln depth of lines changes with polynomials of labels: mean and covariance over the lines.

    Args:
        depths: Of lines, shape (M, N).
        terms, abundances: Of `elements.StarAbundances`, (N, Q) and (N, E).

    Returns:
        Shapes (Q,) and (Q, Q); those of lines that do not change if there are fewer than two.
    """
    size = terms.shape[1]
    if len(depths) < 2:
        return np.zeros(size), np.eye(size)
    design = np.concatenate([terms, abundances - np.median(abundances, axis=0)], axis=1)
    found = np.stack([_coefficients(design, line)[:size] for line in depths])
    return found.mean(0), np.cov(found.T) + FLOOR**2 * np.eye(size)


def _coefficients(design: Floats, depth: Floats) -> Floats:
    """Of ln depth, stars weighted with their depth."""
    highest = float(depth.max())
    weight = np.clip(depth, 0.0, None) / highest
    log_depth = np.log(np.maximum(depth, 1e-3 * highest))
    normal = (design * weight[:, None]).T @ design + RIDGE * np.eye(design.shape[1])
    return np.asarray(np.linalg.solve(normal, (design * weight[:, None]).T @ log_depth))
