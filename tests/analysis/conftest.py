"""A theory of 40 lines that answer to five labels, and two surveys that see it differently."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from synth2obs.analysis.morph import Morphed
from synth2obs.core.labels import LabelSpace
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Spectra
from synth2obs.core.wavelengths import log_grid
from synth2obs.models.alignment.conditional import ConditionalConfig
from synth2obs.models.bridge import Bridge
from synth2obs.models.bundle import save_bundle
from synth2obs.models.decoder.decoder import Decoder
from synth2obs.models.emulator.kernel import KernelEmulator
from synth2obs.models.emulator.scale import LabelScale
from synth2obs.models.gap.polynomial import LinearConfig
from synth2obs.models.survey import SurveyConfig, SurveyModel
from synth2obs.physics.continuum import ContinuumConfig

NAMES = ("teff", "logg", "fe_h", "vmic", "mg_fe")
LOWER, UPPER = np.array([4500, 1.0, -1.0, 0.8, -0.3]), np.array([6500, 5.0, 0.5, 2.2, 0.5])
SAMPLES, LINES, LATENT, RANK, GRID = 400, 40, 6, 8, 120
REST = log_grid(5000.0, 5400.0, np.log(5400 / 5000) / (SAMPLES - 1))[:SAMPLES]
STEP = float(np.log(REST[1] / REST[0]))
PIXELS = {"near": np.arange(5020, 5380, 1.2), "far": np.arange(5050, 5350, 1.5)}


def random_labels(count: int, seed: int = 0, share: float = 1.0) -> np.ndarray:
    """Labels, uniform over the middle share of the grid's range, shape (count, 5)."""
    middle, half = 0.5 * (LOWER + UPPER), 0.5 * share * (UPPER - LOWER)
    return middle + half * np.random.default_rng(seed).uniform(-1, 1, (count, len(NAMES)))


def theory(labels: np.ndarray, samples: int = SAMPLES, lines: int = LINES) -> np.ndarray:
    """Normalised spectra of labels, (N, 5) → (N, L): depths are logistic in the labels."""
    random = np.random.default_rng(1)
    centre = random.uniform(0, samples, lines)
    response = random.normal(size=(lines, len(NAMES)))
    x = 2 * (labels - LOWER) / (UPPER - LOWER) - 1
    depth = 0.6 / (1 + np.exp(1.0 - x @ response.T))
    profile = np.exp(-0.5 * ((np.arange(samples) - centre[:, None]) / 1.5) ** 2)
    return np.exp(-depth @ profile)


def survey_model(
    wavelength: np.ndarray, latents: torch.Tensor, x: torch.Tensor, samples: int = SAMPLES
) -> SurveyModel:
    """A survey as it is before training: identity, no gap, no scatter; σ is two samples of the rest grid."""
    config = SurveyConfig(
        latent=LATENT,
        samples=samples,
        morph=ConditionalConfig(),
        gap=LinearConfig(window=20),
        continuum=ContinuumConfig(order=2),
    )
    columns = wavelength, np.zeros(len(wavelength), np.int64)
    spread = LineSpread.gaussian(2 * STEP * (SAMPLES / samples) * wavelength)
    model = SurveyModel(config, *map(torch.from_numpy, columns), spread)
    model.gap.scatter.fill_(0.0)
    model.gap.reading.readout.copy_(torch.linalg.lstsq(latents, x[:, :3]).solution.T)
    return model


def finer_pixels(survey: str, finer: int) -> np.ndarray:
    """The survey's wavelengths, or as many more in the same range."""
    pixels = PIXELS[survey]
    return pixels if finer == 1 else np.linspace(pixels[0], pixels[-1], finer * len(pixels))


@torch.no_grad()
def trained(model: SurveyModel) -> SurveyModel:
    """A survey whose morph and gap are not the identity."""
    for parameter in model.morph.parameters():
        parameter.add_(0.03 * torch.randn_like(parameter))
    model.gap.mean.normal_(0.0, 0.005)
    return model


def make_bridge(finer: int = 1) -> Bridge:
    """Decoder from the SVD of the grid, fitted emulator; ``near`` is untouched, ``far`` has morph and gap.

    Args:
        finer: Samples, lines and pixels of ``PIXELS`` for each one.
    """
    torch.manual_seed(0)
    labels, samples = random_labels(GRID), finer * SAMPLES
    flux = torch.from_numpy(theory(labels, samples, finer * LINES)).float()
    grid = torch.from_numpy(log_grid(5000.0, 5400.0, np.log(5400 / 5000) / (samples - 1))[:samples])
    decoder = Decoder(grid, STEP / finer * grid, latent=LATENT, rank=RANK, hidden=12)
    decoder.start_from(flux)
    basis = decoder.trunk.table()[:, :LATENT].detach()
    latents = torch.linalg.lstsq(basis.double(), (flux - decoder.mean).double().T).solution.T
    space = LabelSpace.from_values(NAMES, labels)
    scale = LabelScale(space, labels)
    x = scale(torch.from_numpy(labels))
    emulator = KernelEmulator(len(NAMES), LATENT, GRID)
    emulator.fit(x, latents, basis.square().mean(0).sqrt())
    surveys = {name: survey_model(finer_pixels(name, finer), latents, x, samples) for name in PIXELS}
    trained(surveys["far"])
    bridge = Bridge(space, decoder, emulator, scale, surveys, None, {"grid": "lines"})
    return bridge.requires_grad_(False).eval()


@pytest.fixture(scope="session")
def bridge() -> Bridge:
    """Theory and two surveys; not to be changed."""
    return make_bridge()


@pytest.fixture(scope="session")
def fine() -> Bridge:
    """The same with four times the samples: R = 4400, so that rotation of some tens of km/s shows."""
    return make_bridge(4)


@pytest.fixture(scope="session")
def sharp() -> Bridge:
    """The same with 24 times the samples: R = 53,000, sharper than every instrument."""
    return make_bridge(24)


@pytest.fixture(scope="session")
def bundle(bridge: Bridge, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder of the saved bridge."""
    return str(save_bundle(bridge, tmp_path_factory.mktemp("run") / "bridge"))


@pytest.fixture(scope="session")
def labels_of() -> Callable[..., np.ndarray]:
    """`random_labels`."""
    return random_labels


def observed(survey: str, flux: np.ndarray, snr: float = 1e4, seed: int = 0, finer: int = 1) -> Spectra:
    """Normalised flux of a survey, (N, P) → the table that its telescope would deliver."""
    random = np.random.default_rng(seed)
    count, wavelength = len(flux), finer_pixels(survey, finer)
    good = np.isfinite(flux)
    sigma = np.where(good, flux, 1.0) / snr
    noisy = np.where(good, flux + sigma * random.normal(size=flux.shape), 0.0)
    # Counts that rise to the red: flux is relative until the continuum is found.
    level = 50.0 * (wavelength / 5200.0)
    return Spectra(
        domain=survey,
        kind="survey",
        frame="barycentric",
        wavelength=wavelength,
        segment=np.zeros(len(wavelength), np.int16),
        flux=(noisy * level).astype(np.float32),
        ivar=np.where(good, 1.0 / (sigma * level) ** 2, 0.0).astype(np.float32),
        id=np.array([f"star-{row}" for row in range(count)]),
        line_spread=LineSpread.gaussian(2 * STEP / finer * wavelength, stars=count),
        rv=np.zeros(count),
        rv_error=np.full(count, np.nan),
        snr=np.full(count, snr),
    )


@pytest.fixture(scope="session")
def stars_of() -> Callable[..., Spectra]:
    """`observed`."""
    return observed


@pytest.fixture(scope="session")
def by_name() -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """A table of labels as a mapping from name to column."""
    return lambda table: dict(zip(NAMES, table.T, strict=True))


@pytest.fixture(scope="session")
def same() -> Callable[..., None]:
    """Assert that two results of a morph agree in flux, theory, gap and its error."""

    def compare(one: Morphed, other: Morphed, **tolerance: float) -> None:
        for name in ("flux", "flux_theory", "gap", "gap_error", "latent"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), err_msg=name, **tolerance)

    return compare
