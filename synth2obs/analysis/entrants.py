"""What a method is asked on stars of one survey, whether it is a bridge or a network of another kind."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from synth2obs.analysis.baselines import Method
from synth2obs.analysis.recovery import fitted_labels, held_at, label_errors
from synth2obs.analysis.trials import free_fit
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.result import LabelFit

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """Labels of N stars.

    Args:
        labels, errors: Teff, log g, [Fe/H] in their units, shape (N, 3).
        fit: Spectra and all labels behind them; None for a method that has no spectra.
    """

    labels: Floats
    errors: Floats
    fit: LabelFit | None = None


class Entrant(ABC):
    """A method, made for one survey. What it cannot say is None."""

    @abstractmethod
    def answer(self, seen: Observation, start: LabelFit | None = None) -> Answer:
        """Labels of stars, all free.

        Args:
            seen: Stars.
            start: Labels and velocities to start from; None looks for them.
        """

    def held(self, seen: Observation, x: Tensor, rv: Tensor) -> LabelFit | None:
        """Stars explained at given labels: velocity and continuum alone are free, pixels count by the noise alone.

        Args:
            seen: Stars.
            x: Scaled labels, shape (N, K).
            rv: km/s to start from, shape (N,).
        """
        return None

    def change(self, x: Tensor) -> Tensor | None:
        """What a method without a posterior adds to theory's spectra at rest, (N, P); NaN where theory has none.

        Args:
            x: Scaled labels, shape (N, K).
        """
        return None

    def cycle_error(self, x: Tensor) -> float | None:
        """Rms of theory's spectra after there and back, minus themselves, in units of the continuum.

        Args:
            x: Scaled labels, shape (N, K).
        """
        return None


@dataclass(frozen=True)
class BridgeEntrant(Entrant):
    """A bridge, by a method of `METHODS` or `ABLATIONS`, on one of its surveys."""

    bridge: Bridge
    survey: str
    method: Method

    def answer(self, seen: Observation, start: LabelFit | None = None) -> Answer:
        """As `Entrant` says."""
        return answered(self.bridge, free_fit(self.bridge, seen, self.method, start))

    def held(self, seen: Observation, x: Tensor, rv: Tensor) -> LabelFit:
        """As `Entrant` says."""
        every, labels = tuple(range(x.shape[1])), self.bridge.scale.inverse(x).numpy()
        return held_at(self.bridge, seen, labels, every, rv, morphed=self.method.morphed)

    @torch.no_grad()
    def cycle_error(self, x: Tensor) -> float | None:
        """As `Entrant` says, over the rest grid; None where there is no morph."""
        morph = self.bridge.survey(self.survey).morph
        if not self.method.morphed or not any(True for _ in morph.parameters()):
            return None
        u = self.bridge.theory_latents(self.survey, x)
        back = morph.inverse(morph(u)[0])[0]
        decoder = self.bridge.decoder_of(self.survey)
        change = decoder(back.float()) - decoder(u.float())
        return float(change.square().mean().sqrt())


def answered(bridge: Bridge, fit: LabelFit) -> Answer:
    """A fit's labels and errors beside it."""
    return Answer(fitted_labels(bridge, fit), label_errors(bridge, fit), fit)
