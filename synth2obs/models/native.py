"""What surveys see: instruments, maps to native pixels, spectra in them; costly preparations are kept.

Nothing is kept that could grow old: `projection.memo.Memo` notices when a tensor that a result was made of changes.
"""

import hashlib
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from synth2obs.core.line_spread import LineSpread
from synth2obs.core.shapes import shaped
from synth2obs.core.wavelengths import bands, log_step
from synth2obs.models.decoder.decoder import Decoder
from synth2obs.models.projection.memo import Memo
from synth2obs.models.projection.rotating import native_of_rotating
from synth2obs.models.projection.shared import Through, covered
from synth2obs.models.survey import SurveyModel
from synth2obs.physics.broadening import Broadening
from synth2obs.physics.instrument import Instrument

BATCH = 64

KEPT = 8
"""Instruments, maps to native pixels and templates that are kept; as many maps of stars with lines of other widths."""


@shaped
class NativeViews:
    """From coefficients to the native pixels of every survey of a bridge.

    Args:
        decoders: Of the rest frame, by the name of their layer.
        models: The surveys' models by name.
    """

    def __init__(self, decoders: Mapping[str, Decoder], models: nn.ModuleDict) -> None:
        self.decoders, self.models = decoders, models
        self.memo, self.wider = Memo(KEPT), Memo(KEPT)

    def _model(self, survey: str) -> SurveyModel:
        model = self.models[survey]
        assert isinstance(model, SurveyModel)
        return model

    def decoder(self, survey: str) -> Decoder:
        """The decoder of the rest frame that a survey sees."""
        return self.decoders[self._model(survey).config.layer]

    def instrument(
        self,
        survey: str,
        wavelength: ArrayLike | None = None,
        segment: ArrayLike | None = None,
        line_spread: LineSpread | None = None,
    ) -> Instrument:
        """Doppler, line spread and pixels of a survey; its usual ones unless others are given.

        Wavelengths are those that the survey states; where pixels really are is the model's to know.
        """
        model = self._model(survey)
        detectors = model.segment if segment is None else segment
        stated = model.wavelength if wavelength is None else wavelength
        pixels = model.distortion.corrected(stated, detectors)
        spread = model.line_spread if line_spread is None else line_spread
        return self.on_pixels(pixels, detectors, spread, layer=model.config.layer)

    def on_pixels(
        self,
        pixels: ArrayLike,
        segment: ArrayLike,
        spread: LineSpread,
        rest_sigma: ArrayLike | None = None,
        layer: str = "",
    ) -> Instrument:
        """Doppler, line spread and pixels that need be no survey's; kept if all stars share them.

        Args:
            pixels: Where they are in vacuum Å, shape (P,), or (N, P) if each star has its own.
            segment: Their detectors, shape (P,).
            spread: Line spread at these pixels.
            rest_sigma: σ in Å that what is seen has in the rest frame already, shape (L,); theory's if left out.
            layer: Of the rest frame that is seen.

        Raises:
            DataError: As `Instrument`, also where the line spread is sharper than what is seen.
        """
        decoder = self.decoders[layer]
        own = decoder.rest_sigma if rest_sigma is None else rest_sigma

        def make() -> Instrument:
            return Instrument(decoder.rest_wavelength, pixels, segment, spread, own)

        if np.ndim(pixels) > 1 or len(spread.sigma) > 1:
            return make()
        shape = spread.sigma, spread.hermite, spread.kernel, spread.offset
        key = _digest(pixels, segment, *shape, rest_sigma)
        return self.memo.get(("instrument", key), decoder.buffers(), make)

    @torch.no_grad()
    def rest_flux(
        self,
        flux: Float[Tensor, "stars cells"],
        instrument: Instrument,
        rv: Float[Tensor, " stars"],
        broadening: Broadening | None = None,
        layer: str = "",
    ) -> NDArray[np.float32]:
        """Rest-frame spectra seen through an instrument whose pixels all stars share.

        Args:
            flux: In the rest frame, shape (N, L).
            instrument: Of `on_pixels`.
            rv: km/s, shape (N,).
            broadening: Rotation and macroturbulence of every star, shape (N,) each.
            layer: Of the rest frame that is seen.

        Returns:
            Shape (N, P), NaN where the grid, or what the broadening needs of it, does not reach.
        """
        margin: Tensor | float = 0.0
        if broadening is not None and bool(broadening.present.any()):
            turns, parts = broadening.present, bands(self.decoders[layer].rest_wavelength.numpy())
            turned = broadening.take(turns).apply(flux[turns], instrument.step, parts)
            flux, margin = flux.index_put((turns,), turned), broadening.margin(instrument.step)
        native = instrument(flux, rv)
        return native.masked_fill(~covered(instrument, rv, 1.0, None, margin), torch.nan).numpy()

    def through(
        self,
        survey: str,
        instrument: Instrument | None = None,
        segment: Tensor | None = None,
        broadening: Broadening | None = None,
        width: float = 1.0,
    ) -> Through:
        """A survey's map from coefficients to native pixels that all stars share; kept while nothing changes.

        Args:
            survey: Which one.
            instrument: Its operator on other pixels than the usual ones; these must be shared by all stars.
            segment: The detector of each of these pixels, shape (P,).
            broadening: Rotation and macroturbulence that all stars share.
            width: Factor on the survey's σ that all stars share, beside the survey's ``width_scale``. It acts on
                theory; the gap is at the survey's resolution already and stays as it is.
        """
        model, decoder = self._model(survey), self.decoder(survey)
        weights = *model.gap.state_dict().values(), *decoder.state_dict().values()

        def make() -> Through:
            own = instrument or self.instrument(survey)
            return model.through(decoder, own, model.segment if segment is None else segment, width)

        parts = *weights, *model.native()
        key = "through", survey, instrument, width
        still = (self.memo if width == 1 else self.wider).get(key, parts, make)
        if broadening is None:
            return still
        turning = float(broadening.vsini), float(broadening.vmac)
        return self.wider.get((*key, *turning), parts, lambda: self._of_rotating(still, survey, broadening))

    def _of_rotating(self, still: Through, survey: str, broadening: Broadening) -> Through:
        """A map for stars that all rotate alike; it is the rest grid that the broadening acts on."""
        decoder = self.decoder(survey)
        step = log_step(decoder.rest_wavelength.numpy())
        functions = self._model(survey).functions(decoder, broadening, step)
        return still.of_functions(functions, float(broadening.margin(step)))

    @torch.no_grad()
    def flux(
        self,
        coefficients: Float[Tensor, "stars coefficients"],
        survey: str,
        rv: Float[Tensor, " stars"],
        instrument: Instrument | None = None,
        broadening: Broadening | None = None,
    ) -> NDArray[np.float32]:
        """Native pixels of coefficients (N, M) of `from_labels` or `SurveyModel.coefficients`.

        Args:
            coefficients: Shape (N, M).
            survey: Whose functions.
            rv: km/s, shape (N,).
            instrument: On other pixels than the usual ones.
            broadening: Rotation and macroturbulence of every star, shape (N,) each, on the usual pixels. A star
                without any has the very numbers that it has alone.

        Returns:
            Shape (N, P), NaN where the grid, or what the broadening needs of it, does not reach.
        """
        if broadening is not None and bool(broadening.present.any()):
            return self._flux_rotating(coefficients, survey, rv, broadening)
        if instrument is None or instrument.shared:
            return self._flux_shared(self.through(survey, instrument), coefficients, rv)
        model = self._model(survey)
        parts = []
        for rows in torch.arange(len(rv)).split(BATCH):
            projected = model.project(self.decoder(survey), instrument, rv[rows], rows)
            flux = torch.einsum("bpm,bm->bp", projected, coefficients[rows].float())
            covered = instrument.valid(rv[rows], float(model.width_scale), rows)
            parts.append(flux.masked_fill(~covered, torch.nan))
        return torch.cat(parts).numpy()

    def _flux_rotating(
        self, coefficients: Tensor, survey: str, rv: Tensor, broadening: Broadening
    ) -> NDArray[np.float32]:
        model, rotates = self._model(survey), broadening.present
        flux = np.empty((len(rv), len(model.wavelength)), np.float32)
        if not bool(rotates.all()):
            flux[(~rotates).numpy()] = self.flux(coefficients[~rotates], survey, rv[~rotates])
        instrument, functions = self.instrument(survey), model.functions(self.decoder(survey))
        for rows in rotates.nonzero()[:, 0].split(BATCH):
            width, own = float(model.width_scale), broadening.take(rows)
            part = native_of_rotating(instrument, functions, width, coefficients[rows], rv[rows], own)
            flux[rows.numpy()] = part.numpy()
        return flux

    def _flux_shared(self, through: Through, coefficients: Tensor, rv: Tensor) -> NDArray[np.float32]:
        parts = []
        for rows in torch.arange(len(rv)).split(BATCH):
            own = through.of(rows, rv[rows])
            still = torch.zeros_like(rv[rows])
            parts.append(own.native(coefficients[rows], still).masked_fill(~own.valid(still), torch.nan))
        return torch.cat(parts).numpy()


def _digest(*arrays: ArrayLike | None) -> str:
    """Of the contents."""
    found = hashlib.blake2b(digest_size=16)
    for array in arrays:
        values = np.ascontiguousarray([] if array is None else array)
        found.update(f"{values.dtype}{values.shape}".encode() + values.tobytes())
    return found.hexdigest()
