"""Milliseconds per star of what encodings and fits consist of."""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks import ours
from benchmarks.observed import Observed, prepare
from benchmarks.report import Table
from benchmarks.tables import Setting, each_star, star_columns
from benchmarks.worlds import QUICK, SURVEY, Size, World, make_world
from synth2obs.models.fit.continuum import OrthonormalContinuum
from synth2obs.models.fit.starts import starting_velocity
from synth2obs.models.noise.covariance import Noise
from synth2obs.models.projection.linear import Expansion

STARS, QUICK_STARS = 64, 4
SEARCH = 500.0

NOTE = (
    "Single precision, 64 stars at a time. An encoding or a fit takes the first four once for every look at the pixels "
    "(the last look needs spectrum and continuum only), the next two for every look of a fit, the last two once."
)


def measure(setting: Setting) -> Table:
    """The table for all numbers of threads."""
    world = make_world(QUICK if setting.quick else Size())
    stars = prepare(world, QUICK_STARS if setting.quick else STARS)
    rows = each_star(_parts(world, stars), len(stars.rv), setting)
    facts = {"pixels": len(world.scene.wavelength), "latent": world.bridge.decoder.latent}
    return Table("Parts of a fit", NOTE, star_columns("part"), rows, facts)


@torch.no_grad()
def _parts(world: World, stars: Observed) -> dict[str, Callable[[], object]]:
    bridge = world.bridge
    seen = ours.observation(bridge, SURVEY, stars.spectra)
    model = bridge.survey(SURVEY)
    rv = torch.as_tensor(stars.rv)
    through = bridge.native.through(SURVEY, seen.instrument, seen.segment).of(None, torch.zeros_like(rv))
    x = bridge.scale(torch.as_tensor(stars.labels))
    coefficients = bridge.values_from_labels(SURVEY, x)
    continuum = OrthonormalContinuum.over(seen.continuum_basis, seen.ivar)
    spectrum, by_rv = through.spectrum(coefficients, rv)
    level = continuum.profile(spectrum, seen.flux, seen.ivar).values
    at = Expansion(coefficients, rv, spectrum, by_rv, Noise(seen.ivar.float()), level, seen.continuum_basis)
    residual: Tensor = seen.ivar * (seen.flux - level * spectrum)
    latent = torch.zeros(len(rv), bridge.decoder.latent, dtype=torch.float64)
    jacobian = model.coefficients(bridge.decoder, latent).jacobian
    return {
        "spectrum and its slope in velocity": lambda: through.spectrum(coefficients, rv),
        "continuum and χ²": lambda: continuum.profile(spectrum, seen.flux, seen.ivar),
        "gradient (transpose of the instrument)": lambda: through.pull(residual, rv),
        f"normal matrix of {coefficients.shape[1]} coefficients": lambda: through.products(at),
        "labels to coefficients": lambda: bridge.values_from_labels(SURVEY, x),
        "and their Jacobian": lambda: bridge.from_labels(SURVEY, x),
        "covariance": lambda: through.gram(at, jacobian),
        "velocity to start from": lambda: starting_velocity(bridge, seen, SEARCH),
    }
