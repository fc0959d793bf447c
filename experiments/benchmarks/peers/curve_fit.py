"""The Payne's way to fit one star: scipy's `curve_fit` with bounds, numerical derivatives and a loose tolerance.

It is applied to two models: The Payne's own net, and our model held as The Payne holds its own, as rest-frame pixels
that already have the survey's line spread and are shifted by linear interpolation.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import curve_fit

from benchmarks.peers.payne import PayneNet, shift
from benchmarks.scenes import Array
from benchmarks.worlds import SURVEY, World
from synth2obs.physics import chebyshev_basis

TOLERANCE = 5e-4
"""Of χ² and of the parameters, as The Payne's own fits have it."""

VELOCITY = 100.0
"""km/s per unit of the last parameter, which goes from −5 to 5; labels go from −1/2 to 1/2."""


@dataclass(frozen=True)
class Found:
    """One star: parameters between −1/2 and 1/2, velocity in km/s, evaluations of the model, and the model."""

    scaled: Array
    rv: float
    evaluations: int
    model: Array


def fit_star(
    model: Callable[[Array, float, Array, Array], Array], flux: Array, sigma: Array, labels: int
) -> Found:
    """Bounded least squares from the middle of the labels at rest.

    Args:
        model: Scaled labels, velocity, flux and σ → pixels (P,); flux and σ are for a continuum profiled inside.
        flux, sigma: Shape (P,).
        labels: Number of labels.
    """
    evaluations = 0

    def pixels(_: Array, *parameters: float) -> Array:
        nonlocal evaluations
        evaluations += 1
        return model(np.array(parameters[:-1]), VELOCITY * parameters[-1], flux, sigma)

    limit = np.array([0.5] * labels + [5.0])
    best, _ = curve_fit(
        pixels,
        np.arange(len(flux), dtype=float),
        flux,
        p0=np.zeros(labels + 1),
        sigma=sigma,
        bounds=(-limit, limit),
        ftol=TOLERANCE,
        xtol=TOLERANCE,
        absolute_sigma=True,
        method="trf",
    )
    return Found(best[:-1], VELOCITY * best[-1], evaluations, pixels(flux, *best))


def payne_model(net: PayneNet) -> Callable[[Array, float, Array, Array], Array]:
    """The Payne's own net; its spectra are normalised."""
    return lambda scaled, rv, flux, sigma: net.shifted(scaled, rv)


class OurModel:
    """Our emulator, morph and decoder for one star; line spread at rest, shift by interpolation, continuum profiled.

    In float64: numerical derivatives of single precision are noise, and the fit would stop far from the minimum.
    """

    def __init__(self, world: World) -> None:
        bridge, scene = deepcopy(world.bridge).double(), world.scene
        model, instrument = bridge.survey(SURVEY), bridge.instrument(SURVEY)
        functions = model.project(bridge.decoder, instrument, torch.zeros(1, dtype=torch.float64))
        self.bridge, self.model, self.wavelength = bridge, model, scene.wavelength
        self.functions = np.ascontiguousarray(functions[0].numpy())
        order = model.config.continuum.order
        basis = chebyshev_basis(torch.from_numpy(scene.wavelength), torch.from_numpy(scene.segment), order)
        self.continuum = basis.numpy()
        self.lower, self.width = bridge.labels.lower, bridge.labels.upper - bridge.labels.lower

    def labels(self, scaled: Array) -> Array:
        """Labels in their units of parameters from −1/2 to 1/2."""
        return self.lower + (scaled + 0.5) * self.width

    @torch.no_grad()
    def __call__(self, scaled: Array, rv: float, flux: Array, sigma: Array) -> Array:
        """Pixels (P,), with the continuum that fits best."""
        x = self.bridge.scale(torch.from_numpy(self.labels(scaled)[None]))
        latent = self.model.morph(self.bridge.emulator(x))[0]
        coefficients = self.model.coefficients(self.bridge.decoder, latent).value[0].numpy()
        seen = shift(self.wavelength, self.functions @ coefficients, rv)
        design = self.continuum * (seen / sigma)[:, None]
        factor = cho_factor(design.T @ design)
        return seen * (self.continuum @ cho_solve(factor, design.T @ (flux / sigma)))
