"""Methods on one survey's test stars: labels free, and labels held at the literature's."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from synth2obs.analysis.baselines import METHODS, Method
from synth2obs.analysis.recovery import Literature, anchored
from synth2obs.core.spectra import Spectra
from synth2obs.models.bridge import Bridge
from synth2obs.models.fit.observation import Observation
from synth2obs.models.fit.options import Options
from synth2obs.models.fit.result import LabelFit
from synth2obs.models.fit.task import fit_labels


@dataclass(frozen=True)
class Trial:
    """A method on test stars: labels free, and labels held."""

    free: LabelFit
    held: LabelFit


@dataclass(frozen=True, kw_only=True)
class Tested:
    """What every method made of one survey's test stars.

    Args:
        bridge: Trained.
        survey: Its name.
        spectra, seen: The test stars as they came, and prepared for fits.
        known: What the literature says of them.
        trials: By method; ``theory`` and ``morph`` are among them.
    """

    bridge: Bridge
    survey: str
    spectra: Spectra
    seen: Observation
    known: Literature
    trials: Mapping[str, Trial]

    def held(self, method: str) -> tuple[Observation, LabelFit]:
        """Stars of known labels, and their fit by a method at these labels."""
        rows = torch.from_numpy(np.nonzero(self.known.usable)[0])
        return self.seen.take(rows), self.trials[method].held


def trial(bridge: Bridge, seen: Observation, known: Literature, method: str, start: LabelFit | None) -> Trial:
    """A method of `METHODS` on test stars; arguments as for `free_fit`."""
    free = free_fit(bridge, seen, METHODS[method], start)
    return Trial(free, anchored(bridge, seen, known, free.rv, morphed=METHODS[method].morphed))


def free_fit(bridge: Bridge, seen: Observation, method: Method, start: LabelFit | None) -> LabelFit:
    """Labels by a method: plain theory knows the noise alone, everything else what it learned about its residuals.

    Args:
        bridge: What the method fits with.
        seen: Stars.
        method: How it fits.
        start: Labels and velocities to start from; None looks for them.
    """
    options = Options(
        morphed=method.morphed,
        scatter=method.weighted,
        population=method.population,
        refresh=2 if start is None else 1,
        steps=7,
    )
    if start is None:
        return fit_labels(bridge, seen, options)
    return fit_labels(bridge, seen, options, start.x, start.rv)
