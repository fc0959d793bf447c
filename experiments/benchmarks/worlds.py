"""A bridge of realistic size with random contents, whose spectra are known in closed form.

Every function of wavelength that it holds is a sum of Gaussian lines (see `truth`), so that what a star's pixels should
be follows exactly from the coefficients of these functions, whatever way the library takes to them.
"""

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks.scenes import Array, Scene, make_scene
from benchmarks.truth import Lines
from synth2obs.core.constants import C_KMS, FWHM_PER_SIGMA
from synth2obs.core.labels import LabelSpace
from synth2obs.core.line_spread import LineSpread
from synth2obs.models.alignment.conditional import ConditionalConfig
from synth2obs.models.bridge import Bridge
from synth2obs.models.decoder.decoder import Decoder
from synth2obs.models.emulator.kernel import KernelEmulator
from synth2obs.models.emulator.scale import LabelScale
from synth2obs.models.gap.polynomial import LinearConfig
from synth2obs.models.survey import SurveyConfig, SurveyModel
from synth2obs.physics.continuum import ContinuumConfig

ELEMENTS = "c n o na mg al si p s k ca sc ti v cr mn co ni cu zn y zr ba la ce nd eu".split()
NAMES = ("teff", "logg", "fe_h", "vmic", *(f"{element}_fe" for element in ELEMENTS))
LOWER = np.array([4000.0, 0.5, -1.0, 0.8, *[-0.4] * len(ELEMENTS)])
UPPER = np.array([6500.0, 5.0, 0.5, 2.2, *[0.4] * len(ELEMENTS)])

GRID_POWER = 60_000.0
"""Resolving power of the theory."""

SURVEY = "apogee"
SPACING = 25.0
"""Mean distance between lines in km/s."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large the bridge is.

    Args:
        scene: Name of the survey.
        samples: Length of the rest grid.
        latent, rank, hidden: Of the decoder.
        centres: Grid spectra that the emulator remembers.
        pixels: Keep that many pixels of each detector; all by default.
    """

    scene: str = "apogee"
    samples: int = 32_768
    latent: int = 32
    rank: int = 128
    hidden: int = 512
    centres: int = 1000
    pixels: int | None = None


QUICK = Size(scene="tiny", samples=1024, latent=32, rank=40, hidden=8, centres=150)


@dataclass(frozen=True)
class World:
    """A bridge and what its functions are made of.

    Args:
        bridge: With one survey, `SURVEY`.
        scene: The survey's pixels.
        lines, depths: Mean (as 1 − …) and trunk: (K,) lines, depths (K, 1 + rank).
        gap_lines, gap_depths: The gap's, at the survey's resolution: depths (G, features).
    """

    bridge: Bridge
    scene: Scene
    lines: Lines
    depths: Array
    gap_lines: Lines
    gap_depths: Array

    def pixels(self, labels: Array, rv: Array) -> Array:
        """Exact normalised pixels of stars with labels (N, 31) at velocities (N,) in km/s, shape (N, P)."""
        exact = deepcopy(self.bridge).double()
        coefficients = exact.from_labels(SURVEY, exact.scale(torch.from_numpy(labels))).value.numpy()
        theory = coefficients.shape[1] - self.gap_depths.shape[1]
        model = self.bridge.survey(SURVEY)
        survey = float(model.width_scale) * self.scene.sigma / self.scene.wavelength
        applied, edges = np.sqrt(survey**2 - (1.0 / (GRID_POWER * FWHM_PER_SIGMA)) ** 2), self.scene.edges
        seen = []
        for star, velocity in zip(coefficients, rv, strict=True):
            sharp = self.lines.seen(*edges, float(velocity), applied) @ (self.depths @ star[:theory])
            gap = self.gap_lines.seen(*edges, float(velocity), 0.0) @ (self.gap_depths @ star[theory:])
            seen.append(1.0 + sharp + gap)
        return np.stack(seen)

    def labels(self, count: int, seed: int = 0, share: float = 0.8) -> Array:
        """Labels, uniform over the middle share of the grid's range, shape (N, 31)."""
        return random_labels(count, np.random.default_rng(seed), share)


def random_labels(count: int, random: np.random.Generator, share: float = 1.0) -> Array:
    """Uniform labels in their units, shape (count, 31)."""
    middle, half = 0.5 * (LOWER + UPPER), 0.5 * share * (UPPER - LOWER)
    return middle + half * random.uniform(-1, 1, (count, len(NAMES)))


def make_world(size: Size, seed: int = 0) -> World:
    """A bridge with a random decoder, emulator, morph and gap: none of them the identity."""
    random = np.random.default_rng(seed)
    torch.manual_seed(seed)
    scene = make_scene(size.scene, size.samples, pixels=size.pixels)
    lines, depths = _theory(scene, size, random)
    decoder = _decoder(scene, size, lines, depths)
    labels = random_labels(size.centres, random)
    space = LabelSpace.from_values(NAMES, np.concatenate([labels, LOWER[None], UPPER[None]]))
    scale = LabelScale(space, labels)
    x = scale(torch.from_numpy(labels))
    latents = _latents(x, size.latent)
    emulator = KernelEmulator(len(NAMES), size.latent, size.centres)
    emulator.fit(x, latents, decoder.trunk.table()[:, : size.latent].detach().square().mean(0).sqrt())
    model = _survey(scene, size)
    model.gap.reading.readout.copy_(torch.linalg.lstsq(latents, x[:, :3]).solution.T)
    gap_lines, gap_depths = _gap(scene, model, random)
    bridge = Bridge(space, decoder, emulator, scale, {SURVEY: model}, None, {"grid": "random lines"})
    return World(bridge.requires_grad_(False).eval(), scene, lines, depths, gap_lines, gap_depths)


def _lines(scene: Scene, random: np.random.Generator, low: float, high: float) -> Lines:
    start, stop = np.log(scene.rest[[0, -1]])
    count = int((stop - start) * C_KMS / SPACING)
    return Lines(np.sort(random.uniform(start, stop, count)), random.uniform(low, high, count))


def _theory(scene: Scene, size: Size, random: np.random.Generator) -> tuple[Lines, Array]:
    """Lines as wide as resolution and thermal motion leave them; the trunk's later functions matter less."""
    own = 1.0 / (GRID_POWER * FWHM_PER_SIGMA)
    lines = _lines(scene, random, np.hypot(own, 1.0 / C_KMS), np.hypot(own, 3.0 / C_KMS))
    depth = 0.01 * 50.0 ** random.uniform(size=(len(lines.centre), 1))
    falling = 0.3 / (1.0 + np.arange(size.rank)) ** 0.7
    response = depth * random.normal(size=(len(depth), size.rank)) * falling
    return lines, np.concatenate([-depth, response], axis=1)


@torch.no_grad()
def _decoder(scene: Scene, size: Size, lines: Lines, depths: Array) -> Decoder:
    table = torch.from_numpy(lines.sampled(np.log(scene.rest)) @ depths)
    own = scene.rest / (GRID_POWER * FWHM_PER_SIGMA)
    decoder = Decoder(
        torch.from_numpy(scene.rest),
        torch.from_numpy(own),
        latent=size.latent,
        rank=size.rank,
        hidden=size.hidden,
    )
    decoder.mean.copy_(1.0 + table[:, 0])
    decoder.trunk.fine.copy_(table[:, 1:])
    decoder.branch.skip.copy_(torch.eye(size.rank, size.latent))
    branch = decoder.branch
    branch.outer.weight.normal_(0.0, 0.15)
    branch.offset.copy_(-branch.outer(branch.inner(torch.zeros(1, size.latent, dtype=torch.float64)))[0])
    return decoder


def _latents(x: Tensor, latent: int) -> Tensor:
    """A smooth random function of scaled labels, standardised, in which Teff, log g and [Fe/H] say most."""
    importance = torch.tensor([1.5, 1.0, 1.0, 0.5, *[0.4] * len(ELEMENTS)], dtype=x.dtype)
    inner = torch.randn(x.shape[1], 2 * latent, dtype=x.dtype) * importance[:, None] / 2.0
    found = torch.tanh(x @ inner) @ torch.randn(2 * latent, latent, dtype=x.dtype)
    return (found - found.mean(0)) / found.std(0)


@torch.no_grad()
def _survey(scene: Scene, size: Size) -> SurveyModel:
    config = SurveyConfig(
        morph=ConditionalConfig(),
        latent=size.latent,
        samples=size.samples,
        gap=LinearConfig(),
        continuum=ContinuumConfig(order=4),
    )
    native = (torch.from_numpy(values) for values in (scene.wavelength, scene.segment))
    model = SurveyModel(config, *native, LineSpread.gaussian(scene.sigma))
    for parameter in model.morph.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    model.width_scale.fill_(1.03)
    return model


@torch.no_grad()
def _gap(scene: Scene, model: SurveyModel, random: np.random.Generator) -> tuple[Lines, Array]:
    """Lines of about 1 % as wide as the survey's line spread."""
    spread = float((scene.sigma / scene.wavelength).mean())
    lines = _lines(scene, random, spread, 1.5 * spread)
    depths = random.normal(0.0, 0.004, (len(lines.centre), model.gap.size))
    model.gap.mean.copy_(torch.from_numpy((lines.sampled(np.log(scene.rest)) @ depths).T))
    model.gap.scatter.zero_()
    return lines, depths
