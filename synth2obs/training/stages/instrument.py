"""What a survey's telescope does, measured on its stars: distortion of wavelengths, width of lines."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from pydantic import Field
from torch import Tensor

from synth2obs.core.config import Section
from synth2obs.core.told import LOG
from synth2obs.models.distortion import TERMS
from synth2obs.models.fit.distortion import learn_distortion
from synth2obs.models.fit.task import encode
from synth2obs.models.noise.believed import believe_repeats
from synth2obs.models.survey import SurveyModel
from synth2obs.training.stages.base import StageBase
from synth2obs.training.state import State

FLOOR = 5e-3
"""Noise added while an instrument is measured, in units of the continuum: theory is not better than that."""

NARROWEST, WIDEST = 0.5, 2.5
"""How far from the catalogued width a survey's own is looked for."""


class LatentConfig(Section):
    """Stage B: shared latent; the branch is refined through every survey's instrument."""

    steps: int = Field(default=60, ge=0, description="Adam steps")
    batch: int = Field(default=12, ge=1, description="grid spectra a step")
    learning_rate: float = Field(default=3e-4, gt=0, description="of the branch, in the first step")
    width_stars: int = Field(
        default=40, ge=4, description="stars used to fit each survey's line width and wavelength distortion"
    )
    widths: tuple[float, ...] = Field(
        default=(0.9, 1.0, 1.1), min_length=3, description="first widths to try, evenly spaced"
    )
    distortion: bool = Field(default=True, description="look for a distortion of each survey's wavelengths")
    distortion_degree: int = Field(
        default=6, ge=0, lt=TERMS, description="highest degree of its polynomials on a detector"
    )


class InstrumentStage(StageBase):
    """Measure the instrument of every survey, theory being what it is."""

    name = "instrument"

    def __init__(self, state: State, config: LatentConfig) -> None:
        super().__init__(state)
        self.config = config

    @torch.no_grad()
    def finish(self) -> dict[str, float]:
        """Errors by repeats, wavelengths, and width of lines."""
        metrics: dict[str, float] = {}
        for name in self.state.bridge.surveys:
            model = self.state.bridge.survey(name)
            metrics |= self._repeats(name)
            with _floor(model):
                metrics |= self._distortion(name) if self.config.distortion else {}
                scale, error = self._profile(name)
            model.width_scale.fill_(scale)
            model.width_scale_error.fill_(error)
            metrics |= {f"{name}/width_scale": scale, f"{name}/width_scale_error": error}
        return metrics

    def _repeats(self, name: str) -> dict[str, float]:
        """Learn how large a survey's errors are, where its training stars were seen again."""
        survey, model = self.state.domains.surveys[name], self.state.bridge.survey(name)
        train = survey.rows("train")
        spectra, order = survey.spectra.take(train), model.config.continuum.order
        told = believe_repeats(model.noise, spectra, model.wavelength.numpy(), order, survey.star[train])
        LOG.info("%s: %s", name, told)
        return {
            f"{name}/repeated_stars": float(model.noise.repeated),
            f"{name}/error_floor": float(model.noise.floor),
        }

    def _distortion(self, name: str) -> dict[str, float]:
        """Learn where pixels of a survey really are, and see its stars there from now on."""
        survey = self.state.domains.surveys[name]
        train = survey.rows("train")
        spectra = survey.spectra.take(train[self._few(len(train)).numpy()])
        found = learn_distortion(self.state.bridge, name, spectra, self.config.distortion_degree)
        self.state.follow()
        return {f"{name}/{key}": value for key, value in found.items()}

    def _few(self, count: int) -> Tensor:
        """Rows of the stars that an instrument is measured with."""
        return torch.randperm(count, generator=self.generator(-1))[: self.config.width_stars].sort().values

    def _profile(self, name: str) -> tuple[float, float]:
        """Width with the lowest χ² over a few stars, and its error."""
        seen, model = self.state.seen[name], self.state.bridge.survey(name)
        seen = seen.take(self._few(len(seen)))
        curves: dict[float, Tensor] = {}
        widths = list(self.config.widths)
        while True:
            for width in widths:
                if width not in curves:
                    model.width_scale.fill_(width)
                    curves[width] = encode(self.state.bridge, seen).chi2
            further = _beyond(widths, [float(curves[width].median()) for width in widths])
            if further is None:
                break
            widths = sorted([*widths, further])
        x = torch.tensor(widths, dtype=torch.float64)
        return _lowest(x, torch.stack([curves[width] for width in widths], dim=1))


def _beyond(widths: list[float], chi2: list[float]) -> float | None:
    """The next width to try where the lowest χ² is the first or the last; None if it is inside, or too far out."""
    best, step = chi2.index(min(chi2)), widths[1] - widths[0]
    if best == 0 and widths[0] - step >= NARROWEST:
        return round(widths[0] - step, 6)
    if best == len(widths) - 1 and widths[-1] + step <= WIDEST:
        return round(widths[-1] + step, 6)
    return None


@contextmanager
def _floor(model: SurveyModel) -> Iterator[None]:
    """A scatter of `FLOOR` for a while."""
    model.gap.scatter.fill_(FLOOR**2)
    yield
    model.gap.scatter.fill_(0.0)


def _lowest(widths: Tensor, chi2: Tensor) -> tuple[float, float]:
    """Minimum of a parabola through the median of normalised χ² curves, and its delete-an-eighth jackknife error."""
    curves = chi2 / chi2.amin(1, keepdim=True)
    order = torch.arange(len(curves)) % 8
    best = [_vertex(widths, curves[order != part].median(0).values) for part in range(8)]
    values = torch.tensor(best, dtype=torch.float64)
    jackknife = ((values - values.mean()).square().sum() * 7.0 / 8.0).sqrt()
    return _vertex(widths, curves.median(0).values), float(jackknife)


def _vertex(x: Tensor, y: Tensor) -> float:
    """Lowest point of a parabola through the three samples around the smallest one, kept within the samples."""
    middle = int(y.argmin().clamp(1, len(x) - 2))
    a, b, c = (float(value) for value in y[middle - 1 : middle + 2])
    step = float(x[middle] - x[middle - 1])
    bend = a - 2.0 * b + c
    shift = 0.5 * (a - c) / bend if bend > 0 else (-1.0 if a < c else 1.0)
    return float(x[middle]) + step * max(-1.0, min(1.0, shift))
