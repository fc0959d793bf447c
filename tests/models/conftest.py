"""A small theory of 60 lines and five labels, and its stars as a survey of two detectors sees them."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from synth2obs.core.labels import LabelSpace
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Spectra
from synth2obs.core.wavelengths import log_grid
from synth2obs.models.alignment.conditional import ConditionalConfig
from synth2obs.models.bridge import Bridge
from synth2obs.models.decoder.decoder import Decoder
from synth2obs.models.emulator.kernel import KernelEmulator
from synth2obs.models.emulator.scale import LabelScale
from synth2obs.models.gap import GAPS
from synth2obs.models.gap.posterior import GapConfig
from synth2obs.models.survey import SurveyConfig, SurveyModel
from synth2obs.physics.continuum import ContinuumConfig
from synth2obs.physics.instrument import Instrument

NAMES = ("teff", "logg", "fe_h", "vmic", "mg_fe")
LOWER, UPPER = np.array([4500, 1.0, -1.0, 0.8, -0.3]), np.array([6500, 5.0, 0.5, 2.2, 0.5])
SAMPLES, LINES, LATENT, RANK, STARS = 400, 60, 6, 8, 150
REST = log_grid(5000.0, 5400.0, np.log(5400 / 5000) / (SAMPLES - 1))[:SAMPLES]
STEP = float(np.log(REST[1] / REST[0]))
REST_SIGMA, LSF_SIGMA = STEP * REST, 2.0 * STEP


def gap_of(degree: int, **settings: float) -> GapConfig:
    """Settings of a gap that is a polynomial of a degree."""
    return list(GAPS.values())[degree].Config(**settings)


def random_labels(count: int, seed: int = 0, share: float = 1.0) -> np.ndarray:
    """Labels, uniform over the middle share of the grid's range, shape (count, 5)."""
    middle, half = 0.5 * (LOWER + UPPER), 0.5 * share * (UPPER - LOWER)
    return middle + half * np.random.default_rng(seed).uniform(-1, 1, (count, len(NAMES)))


def theory(labels: np.ndarray) -> np.ndarray:
    """Normalised spectra of labels, (N, 5) → (N, L): depths are logistic in the labels."""
    random = np.random.default_rng(1)
    centre = random.uniform(0, SAMPLES, LINES)
    response = random.normal(size=(LINES, len(NAMES))) * (random.random((LINES, len(NAMES))) < 0.6)
    x = 2 * (labels - LOWER) / (UPPER - LOWER) - 1
    depth = 0.6 / (1 + np.exp(1.0 - x @ response.T))
    profile = np.exp(-0.5 * ((np.arange(SAMPLES) - centre[:, None]) / 1.5) ** 2)
    return np.exp(-depth @ profile)


def survey_pixels() -> tuple[np.ndarray, np.ndarray]:
    """Wavelengths in Å and detector of 290 pixels."""
    wavelength = np.concatenate([np.arange(5020, 5195, 1.2), np.arange(5210, 5382, 1.2)])
    return wavelength, (wavelength > 5200).astype(np.int64)


def make_bridge(
    *, degree: int = 1, busy: bool = False, order: int = 3, seed: int = 0, **gap: float
) -> Bridge:
    """Decoder from the SVD of the grid, fitted emulator, one survey ``toy``: the identity unless busy."""
    torch.manual_seed(seed)
    labels = random_labels(STARS)
    flux = torch.from_numpy(theory(labels)).float()
    decoder = Decoder(
        torch.from_numpy(REST), torch.from_numpy(REST_SIGMA), latent=LATENT, rank=RANK, hidden=12
    )
    decoder.start_from(flux)
    decoder.branch.outer.weight.data.normal_(0.0, 0.1)
    basis = decoder.trunk.table()[:, :LATENT].detach()
    latents = torch.linalg.lstsq(basis.double(), (flux - decoder.mean).double().T).solution.T
    space = LabelSpace.from_values(NAMES, labels)
    scale = LabelScale(space, labels)
    emulator = KernelEmulator(len(NAMES), LATENT, STARS)
    x = scale(torch.from_numpy(labels))
    emulator.fit(x, latents, basis.square().mean(0).sqrt())
    wavelength, segment = survey_pixels()
    config = SurveyConfig(
        morph=ConditionalConfig(),
        latent=LATENT,
        samples=SAMPLES,
        gap=gap_of(degree, **gap),
        continuum=ContinuumConfig(order=order),
    )
    model = SurveyModel(
        config,
        torch.from_numpy(wavelength),
        torch.from_numpy(segment),
        LineSpread.gaussian(LSF_SIGMA * wavelength),
    )
    model.gap.scatter.fill_(0.0)
    model.gap.reading.readout.copy_(torch.linalg.lstsq(latents, x[:, :3]).solution.T)
    if busy:
        make_busy(model)
    bridge = Bridge(space, decoder, emulator, scale, {"toy": model}, None, {"grid": "toy"})
    return bridge.requires_grad_(False).eval()


@torch.no_grad()
def make_busy(model: SurveyModel) -> None:
    """A morph, a gap, a scatter and a width that are not their starts."""
    for parameter in model.morph.parameters():
        parameter.add_(0.05 * torch.randn_like(parameter))
    model.gap.mean.normal_(0.0, 0.01)
    model.gap.scatter.fill_(1e-4)
    model.width_scale.fill_(1.1)
    model.noise.narrow.fill_(1.5)


@pytest.fixture(scope="session")
def build() -> Callable[..., Bridge]:
    """`make_bridge`."""
    return make_bridge


@pytest.fixture(scope="session")
def bridge() -> Bridge:
    """An untrained survey over a trained theory; not to be changed."""
    return make_bridge()


@pytest.fixture(scope="session")
def busy() -> Bridge:
    """A survey with morph, gap and scatter; not to be changed."""
    return make_bridge(busy=True)


@pytest.fixture(scope="session")
def labels_of() -> Callable[..., np.ndarray]:
    """`random_labels`."""
    return random_labels


@pytest.fixture(scope="session")
def spectra_of() -> Callable[..., np.ndarray]:
    """`theory`."""
    return theory


@pytest.fixture(scope="session")
def instrument() -> Instrument:
    """The survey's own operator."""
    wavelength, segment = survey_pixels()
    return Instrument(REST, wavelength, segment, LineSpread.gaussian(LSF_SIGMA * wavelength), REST_SIGMA)


@pytest.fixture(scope="session")
def stars_of(instrument: Instrument) -> Callable[..., Spectra]:
    """Stars of a bridge's theory seen through the physics alone: instrument, continuum, noise."""

    def build_stars(
        bridge: Bridge, labels: np.ndarray, rv: np.ndarray, snr: float = np.inf, seed: int = 0
    ) -> Spectra:
        random = np.random.default_rng(seed)
        wavelength, segment = survey_pixels()
        x = (wavelength - 5200) / 200
        count = len(labels)
        tilt = random.normal(0, 0.1, (count, 2))
        continuum = (1 + tilt[:, :1] * x + tilt[:, 1:] * x**2) * random.uniform(1, 1000, (count, 1))
        clean = instrument(bridge.rest_flux(labels), torch.from_numpy(rv)).numpy() * continuum
        sigma = continuum / min(snr, 1e4)
        noise = 0.0 if np.isinf(snr) else sigma * random.normal(size=clean.shape)
        covered = instrument.valid(torch.from_numpy(rv)).numpy()
        return Spectra(
            domain="toy",
            kind="survey",
            frame="barycentric",
            wavelength=wavelength,
            segment=segment,
            flux=(clean + noise).astype(np.float32),
            ivar=(covered / sigma**2).astype(np.float32),
            id=np.array([f"star-{i}" for i in range(count)]),
            line_spread=LineSpread.gaussian(LSF_SIGMA * wavelength, stars=count),
            rv=np.full(count, np.nan),
            rv_error=np.full(count, np.nan),
            snr=np.full(count, snr if np.isfinite(snr) else np.nan),
        )

    return build_stars


@pytest.fixture(scope="session")
def slope_of() -> Callable[..., torch.Tensor]:
    """Central differences of a function (B, Q) → (B, M), shape (B, M, Q), in float64."""

    def differences(function: Callable[..., torch.Tensor], at: torch.Tensor, step: float = 1e-5):
        columns = []
        for k in range(at.shape[1]):
            shift = torch.zeros_like(at)
            shift[:, k] = step
            columns.append((function(at + shift) - function(at - shift)) / (2 * step))
        return torch.stack(columns, dim=-1)

    return differences
