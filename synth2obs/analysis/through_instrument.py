"""What an instrument would see of stars given by labels: theory, or with it what a survey taught about theory."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from synth2obs.analysis.morph import Morphed
from synth2obs.analysis.morph_labels import Placed, Stars, placed, stars_of
from synth2obs.analysis.seen import Views, blocks, refuse_too_many
from synth2obs.analysis.served_pixels import ServedPixels, best_theory, gap_of, serve, theory_of
from synth2obs.core.errors import DataError
from synth2obs.core.wavelengths import on_detectors
from synth2obs.io.instruments.described import InstrumentDescription
from synth2obs.io.instruments.named import named
from synth2obs.models.bridge import Bridge
from synth2obs.models.survey import SurveyModel
from synth2obs.physics.broadening import Broadening
from synth2obs.physics.doppler import log_doppler


@dataclass(frozen=True)
class InstrumentView:
    """An instrument on a bridge; called with stars it gives what the instrument would see of them.

    Args:
        bridge: Trained.
        instrument: Its pixels and line spread.
        survey: Whose morph and gap are carried over; empty for theory alone.
        layer: Of the rest frame.
        theory: Pixels in which theory can be seen.
        carried: Those in which the survey's gap can be, too; None for theory alone.
    """

    bridge: Bridge
    instrument: InstrumentDescription
    survey: str
    layer: str
    theory: ServedPixels
    carried: ServedPixels | None

    @classmethod
    def of(cls, bridge: Bridge, instrument: Any, survey: str = "") -> "InstrumentView":
        """See `synth2obs.morph`.

        Raises:
            ConfigError: For a description that cannot be used.
            DataError: For an unknown instrument, or one that neither theory nor the survey's gap can serve.
            ModelError: For an unknown survey.
        """
        gap = gap_of(bridge, survey) if survey else None
        described = named(instrument)
        known = best_theory(bridge, described) if gap is None else theory_of(bridge, gap.layer)
        carried = None if gap is None else serve(bridge, described, gap)
        return cls(bridge, described, survey, known.layer, serve(bridge, described, known), carried)

    @property
    def pixels(self) -> int:
        """Of every spectrum."""
        return len(self.instrument.wavelength)

    @torch.no_grad()
    def __call__(self, stars: Stars) -> Morphed:
        """Spectra of stars on the instrument's pixels, some at a time."""
        put = placed(self.bridge, stars, self.survey)
        views = Views(*(np.empty((len(stars), self.pixels), np.float32) for _ in Views._fields))
        for rows in blocks(len(stars)):
            for whole, part in zip(views, self._views(put, stars.take(rows), rows), strict=True):
                whole[rows] = part
        return Morphed(
            survey=self.survey,
            instrument=self.instrument.name,
            wavelength=self.instrument.wavelength,
            **views._asdict(),
            **put.facts(),
            emulator_variance=partial(self._variance, put.x, stars.rv),
        )

    def _views(self, put: Placed, stars: Stars, rows: slice) -> Views:
        theory = self._theory(put.latent[rows], stars.rv, stars.broadening)
        if self.carried is None:
            unknown = np.full_like(theory, np.nan)
            return Views(theory, theory, unknown, unknown)
        model = self.bridge.survey(self.survey)
        moved = model.morph(put.looks[rows])[0]
        gap, error = self._gap(self.carried, model, moved, stars)
        flux = self._theory(moved, stars.rv, stars.broadening) + gap
        unseen = ~np.isfinite(flux)
        return Views(flux, theory, np.where(unseen, np.nan, gap), np.where(unseen, np.nan, error))

    def _theory(self, latent: Tensor, rv: Tensor, broadening: Broadening) -> NDArray[np.float32]:
        """Theory's flux of latents, (N, D) → (N, P)."""
        rest = self.bridge.layers[self.layer](latent.float())
        return self._seen(self.theory, rest, rv, broadening)

    def _gap(
        self, carried: ServedPixels, model: SurveyModel, moved: Tensor, stars: Stars
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The gap and its error, NaN where the survey has no pixels at the star's velocity, shape (N, P) each."""
        features = model.gap.features(moved).float()
        rest = model.gap(features), model.gap.variance(features)
        gap, variance = (self._seen(carried, part, stars.rv, stars.broadening) for part in rest)
        error = np.sqrt(np.maximum(variance, 0.0))
        known = _within(model, self.instrument.wavelength, stars.rv)
        return np.where(known, gap, np.float32(np.nan)), error

    def _seen(
        self, served: ServedPixels, rest: Tensor, rv: Tensor, broadening: Broadening | None
    ) -> NDArray[np.float32]:
        native = self.bridge.native.rest_flux(rest, served.operator, rv, broadening, self.layer)
        return served.spread_out(native, self.pixels)

    @torch.no_grad()
    def _variance(self, x: Tensor, rv: Tensor) -> Tensor:
        """Variance that emulator and decoder cause (N, P): averaged like flux, which is an upper limit."""
        bridge, parts = self.bridge, []
        for rows in blocks(len(rv)):
            error = bridge.theory_error_on(self.layer)
            rest = error.variance(bridge.layers[self.layer], bridge.emulator, x[rows])
            parts.append(self._seen(self.theory, rest, rv[rows], None))
        return torch.from_numpy(np.maximum(np.concatenate(parts), 0.0))


def morph_through(
    bridge: Bridge,
    labels: Mapping[str, ArrayLike],
    instrument: Any,
    survey: str = "",
    rv: ArrayLike = 0.0,
    vsini: ArrayLike = 0.0,
    vmac: ArrayLike = 0.0,
) -> Morphed:
    """What an instrument would see of stars that are given by labels.

    Args:
        bridge: Trained.
        labels, rv, vsini, vmac: As `morph_labels.morph_labels`.
        instrument: A name, the path of a description, or a description.
        survey: Whose morph and gap are carried over; empty for theory alone.

    Raises:
        ConfigError, DataError, ModelError: As `morph_labels.morph_labels` and `InstrumentView.of`.
    """
    view = InstrumentView.of(bridge, instrument, survey)
    stars = stars_of(bridge, labels, rv, vsini, vmac)
    refuse_too_many(view.pixels, len(stars), "use morph_batches, or an .h5 file")
    return view(stars)


def refuse_spectrum(spectrum: Any, source: Any) -> None:
    """Refuse observed spectra where an instrument is asked for.

    Raises:
        DataError: If there are any.
    """
    if spectrum is not None or source is not None:
        raise DataError(
            "is for labels, not for observed spectra",
            field="instrument",
            remedy="give the labels that synth2obs.fit_labels finds in them",
        )


def _within(model: SurveyModel, wavelength: NDArray[np.float64], rv: Tensor) -> NDArray[np.bool_]:
    """Whether the survey has pixels at the rest wavelength of a pixel, for every star, shape (N, P)."""
    rest = np.log(wavelength) - log_doppler(rv.double()).numpy()[:, None]
    return on_detectors(rest, model.true_wavelength.log().numpy(), model.segment.numpy())
