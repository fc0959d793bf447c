"""The bridge: one decoder, one emulator, and a model of every survey. It composes them and predicts."""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Float, Float64
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from synth2obs.core.errors import ModelError
from synth2obs.core.labels import LabelSpace, unit_of
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.shapes import shaped
from synth2obs.core.shown import Shown, Summary
from synth2obs.models.alignment.density import FlowDensity
from synth2obs.models.contracts import Emulator
from synth2obs.models.decoder.decoder import Decoder
from synth2obs.models.emulator.distance import GridDistance
from synth2obs.models.emulator.scale import LabelScale
from synth2obs.models.layout import Coefficients
from synth2obs.models.native import NativeViews
from synth2obs.models.priors.labels import LabelPrior
from synth2obs.models.priors.population import Population
from synth2obs.models.survey import SurveyModel
from synth2obs.models.theory_error import TheoryError
from synth2obs.physics.instrument import Instrument

SHOWN = 4
"""Labels whose range a bridge shows."""

STARS = 64
"""Stars whose errors are predicted at once."""


@shaped
class Bridge(Shown, nn.Module):
    """Theory and surveys in one latent space.

    Args:
        labels: The grid's labels.
        decoder: Latent → rest-frame flux.
        emulator: Scaled labels → latent.
        scale: Labels ↔ scaled labels.
        surveys: One model per survey.
        population: Stellar-evolution prior, or None.
        card: What a stranger should know: grid, data digests, licence, versions, resolved config.
        density: Of the grid's latents; None: N(0, I).
        finer: Decoders of the same latents on other wavelengths or at other resolutions, by the name of their layer.
    """

    def __init__(
        self,
        labels: LabelSpace,
        decoder: Decoder,
        emulator: Emulator,
        scale: LabelScale,
        surveys: Mapping[str, SurveyModel],
        population: Population | None = None,
        card: Mapping[str, Any] | None = None,
        density: FlowDensity | None = None,
        finer: Mapping[str, Decoder] | None = None,
    ) -> None:
        super().__init__()
        self.labels, self.decoder, self.emulator, self.scale = labels, decoder, emulator, scale
        self.finer = nn.ModuleDict(dict(finer or {}))
        self.models = nn.ModuleDict(dict(surveys))
        self.population = population
        self.density = FlowDensity(decoder.latent).double() if density is None else density
        for name in self.surveys:
            self.survey(name).morph.attach(self.density, self.survey(name).density)
        self.distance = GridDistance(len(labels))
        self.theory_error = TheoryError(len(decoder.mean))
        self.finer_errors = nn.ModuleDict(
            {name: TheoryError(len(own.mean)) for name, own in self.layers.items() if name}
        )
        self.card = dict(card or {})
        self.native = NativeViews(self.layers, self.models)

    def summary(self) -> Summary:
        """What is shown of it, in place of the layers of a network."""
        space = self.labels
        ranges = [
            f"{name} {low:.4g} to {high:.4g} {unit_of(name).split('(')[0]}"
            for name, low, high in zip(space.names[:SHOWN], space.lower, space.upper, strict=False)
        ]
        rows = {
            "surveys": ", ".join(
                f"{name} ({len(self.survey(name).wavelength)} pixels)" for name in self.surveys
            ),
            "labels": ", ".join(ranges),
            "also": ", ".join(space.names[SHOWN:]),
            "wavelength": "{:.1f} to {:.1f} Å, vacuum".format(
                *self.decoder.rest_wavelength[[0, -1]].tolist()
            ),
            "latents": str(self.decoder.latent),
            "trained": str(self.card.get("started", "")),
        }
        first = next(iter(self.surveys), "SURVEY")
        then = f'synth2obs.morph(bridge, survey="{first}", labels={{"teff": 5777}}), bridge.card'
        return Summary("Bridge from theory to surveys", {k: v for k, v in rows.items() if v}, then)

    def __dir__(self) -> list[str]:
        """What a user of a bridge looks for; a network's own names are there, but not shown."""
        own = {*vars(type(self)), *vars(self), *self._modules} - {"training"}
        special = {name for name in super().__dir__() if name.startswith("__")}
        return sorted({name for name in own if not name.startswith("_")} | special)

    @property
    def surveys(self) -> tuple[str, ...]:
        """Names of the surveys."""
        return tuple(self.models.keys())

    def survey(self, name: str) -> SurveyModel:
        """The model of a survey.

        Raises:
            ModelError: If this bridge does not know it; the message lists those it knows.
        """
        if not isinstance(name, str) or name not in self.models:
            raise ModelError(f"unknown survey {name!r}; this model knows {', '.join(self.surveys)}")
        model = self.models[name]
        assert isinstance(model, SurveyModel)
        return model

    @property
    def layers(self) -> dict[str, Decoder]:
        """Decoders by the name of their layer of the rest frame; that of the first is empty."""
        finer = {name: cast(Decoder, own) for name, own in self.finer.items()}
        return {"": self.decoder, **finer}

    def decoder_of(self, survey: str) -> Decoder:
        """The decoder of the rest frame that a survey sees.

        Raises:
            ModelError: For an unknown survey.
        """
        self.survey(survey)
        return self.native.decoder(survey)

    def theory_error_of(self, survey: str) -> TheoryError:
        """How wrong theory may be on the rest frame that a survey sees.

        Raises:
            ModelError: For an unknown survey.
        """
        return self.theory_error_on(self.survey(survey).config.layer)

    def theory_error_on(self, layer: str) -> TheoryError:
        """How wrong theory may be on one of `layers`."""
        return cast(TheoryError, self.finer_errors[layer]) if layer else self.theory_error

    def of_same_theory(self, surveys: Mapping[str, SurveyModel]) -> "Bridge":
        """Theory with other surveys; its parts are shared, not copied."""
        finer = {name: own for name, own in self.layers.items() if name}
        theory = self.labels, self.decoder, self.emulator, self.scale
        made = Bridge(*theory, surveys, self.population, self.card, self.density, finer)
        made.distance, made.theory_error = self.distance, self.theory_error
        made.finer_errors = self.finer_errors
        return made

    def label_prior(self, *, population: bool = True) -> LabelPrior:
        """Prior over scaled labels, with or without stellar evolution."""
        return LabelPrior(self.labels, self.scale, self.population if population else None)

    def instrument(
        self,
        survey: str,
        wavelength: ArrayLike | None = None,
        segment: ArrayLike | None = None,
        line_spread: LineSpread | None = None,
    ) -> Instrument:
        """Doppler, line spread and pixels of a survey; its usual ones unless others are given."""
        self.survey(survey)
        return self.native.instrument(survey, wavelength, segment, line_spread)

    def from_labels(
        self, survey: str, x: Float64[Tensor, "stars labels"], *, morphed: bool = True
    ) -> Coefficients:
        """Coefficients of what `SurveyModel.project` gives at scaled labels x, and ∂/∂x.

        Args:
            survey: Whose morph and gap.
            x: Scaled labels, shape (B, K), float64.
            morphed: False gives plain theory: no morph, no gap.
        """
        by_latent, of_latent = self.slopes_from_labels(survey, x, morphed=morphed)
        value = self.values_from_labels(survey, x, morphed=morphed)
        return Coefficients(
            value, by_latent @ (of_latent @ self.latents_jacobian(survey, x, morphed=morphed))
        )

    def values_from_labels(
        self,
        survey: str,
        x: Float64[Tensor, "stars labels"],
        offset: Float64[Tensor, "stars latents"] | None = None,
        *,
        morphed: bool = True,
    ) -> Float[Tensor, "stars coefficients"]:
        """The value of `from_labels` alone, shape (B, M), theory's latents moved by ``offset``."""
        model, decoder = self.survey(survey), self.decoder_of(survey)
        latent = self.theory_latents(survey, x, offset, morphed=morphed)
        if not morphed:
            return model.layout(decoder).without_gap(model.value(decoder, latent))
        return model.value(decoder, model.morph(latent)[0])

    def slopes_from_labels(
        self,
        survey: str,
        x: Float64[Tensor, "stars labels"],
        offset: Float64[Tensor, "stars latents"] | None = None,
        *,
        morphed: bool = True,
    ) -> tuple[Float64[Tensor, "stars coefficients latents"], Float64[Tensor, "stars latents latents2"]]:
        """Change of `values_from_labels` with the survey's latents (B, M, D), and of these with theory's (B, D, D)."""
        model, decoder = self.survey(survey), self.decoder_of(survey)
        latent = self.theory_latents(survey, x, offset, morphed=morphed)
        if not morphed:
            slope = model.coefficients(decoder, latent).jacobian
            eye = torch.eye(latent.shape[1], dtype=latent.dtype).expand(len(latent), -1, -1)
            return model.layout(decoder).without_gap(slope), eye
        slope = model.coefficients(decoder, model.morph(latent)[0]).jacobian
        return slope, model.morph.jacobian(latent)

    def theory_latents(
        self,
        survey: str,
        x: Float64[Tensor, "stars labels"],
        offset: Float64[Tensor, "stars latents"] | None = None,
        *,
        morphed: bool = True,
    ) -> Float64[Tensor, "stars latents"]:
        """Theory's latents (B, D) where it looks like a survey's stars of scaled labels (B, K), moved by ``offset``."""
        latent = self.emulator(self.survey(survey).label_map(x) if morphed else x)
        return latent if offset is None else latent + offset

    def latents_jacobian(
        self, survey: str, x: Float64[Tensor, "stars labels"], *, morphed: bool = True
    ) -> Float64[Tensor, "stars latents labels"]:
        """∂ of `theory_latents` with the labels, shape (B, D, K)."""
        own = self.survey(survey).label_map
        if not morphed or not own.known:
            return self.emulator.jacobian(x)
        return self.emulator.jacobian(own(x)) @ own.jacobian(x)

    def grid_distance(self, x: Float64[Tensor, "stars labels"]) -> Float64[Tensor, " stars"]:
        """Distance of scaled labels from the grid's spectra, (B, K) → (B,); beyond 1 the grid has nothing like it."""
        return self.distance(x, self.emulator.known)

    def emulator_factor(
        self, survey: str, x: Float64[Tensor, "stars labels"]
    ) -> Float[Tensor, "stars coefficients latents"]:
        """F, shape (B, M, D): F Fᵀ is the covariance of `from_labels` that the emulator's error causes."""
        by_latent, of_latent = self.slopes_from_labels(survey, x)
        return by_latent @ (of_latent @ self.theory_error_of(survey).latent_factor(self.emulator, x))

    @torch.no_grad()
    def emulator_variance(
        self,
        survey: str,
        x: Float64[Tensor, "stars labels"],
        rv: Float[Tensor, " stars"],
        instrument: Instrument | None = None,
    ) -> Float[Tensor, "stars pixels"]:
        """Variance of the morphed prediction in native pixels that emulator and decoder cause, shape (B, P).

        What the decoder leaves counts as if it were the same over a pixel: an upper limit.

        Args:
            survey: Whose pixels, unless an instrument is given.
            x: Scaled labels, shape (B, K).
            rv: km/s, shape (B,).
            instrument: On other pixels than the usual ones.
        """
        # A star is as many spectra as it has latents, so that many stars at once would fill the memory.
        rows = torch.arange(len(x)).split(STARS)
        return torch.cat([self._emulator_variance(survey, x[some], rv[some], instrument) for some in rows])

    def _emulator_variance(self, survey: str, x: Tensor, rv: Tensor, instrument: Instrument | None) -> Tensor:
        factor = self.emulator_factor(survey, x)
        stars, _, size = factor.shape
        rows = factor.mT.flatten(0, 1), survey, rv.repeat_interleave(size), instrument
        seen = torch.from_numpy(self.native.flux(*rows)).unflatten(0, (stars, size))
        seer = instrument or self.instrument(survey)
        left = self.theory_error_of(survey).left(self.decoder_of(survey), self.emulator, x)
        rest = seer(left, rv, 0.0)
        return seen.square().sum(1) + rest.clamp(min=0.0)

    def gap_features(
        self, survey: str, x: Float64[Tensor, "stars labels"]
    ) -> Float[Tensor, "stars features"]:
        """Features of a survey's gap at scaled labels, (B, K) → (B, F)."""
        model = self.survey(survey)
        return model.gap.features(model.morph(self.theory_latents(survey, x))[0])

    @torch.no_grad()
    def theory_variance(
        self, survey: str, x: Float64[Tensor, "stars labels"]
    ) -> Float[Tensor, "stars cells"]:
        """Variance of the emulator's error at scaled labels (B, K) on a survey's rest grid (B, L), continuum 1."""
        rows, decoder = torch.arange(len(x)).split(STARS), self.decoder_of(survey)
        error = self.theory_error_of(survey)
        parts = [error.of_emulator(decoder, self.emulator, x[some]) for some in rows]
        return torch.cat(parts) if parts else torch.zeros(0, len(decoder.mean))

    @torch.no_grad()
    def rest_flux(self, labels: ArrayLike, survey: str | None = None) -> Float[Tensor, "stars cells"]:
        """Theory in the rest frame at the grid's resolution: labels in their units (N, K) → (N, L).

        Args:
            labels: In the grid's units and order, shape (N, K).
            survey: Whose rest grid; None: the first layer's.
        """
        decoder = self.decoder if survey is None else self.decoder_of(survey)
        return decoder(self.emulator(self.scale(torch.as_tensor(self._checked(labels)))).float())

    @torch.no_grad()
    def predict(
        self, labels: ArrayLike, survey: str, rv: ArrayLike = 0.0, *, morphed: bool = True
    ) -> NDArray[np.float32]:
        """Morphed, shifted, broadened, pixel-integrated spectra on the survey's usual pixels.

        Args:
            labels: In the grid's units and order, shape (N, K).
            survey: One of `surveys`.
            rv: km/s, positive receding, scalar or shape (N,).
            morphed: False gives theory as the survey's instrument would see it.

        Returns:
            Normalised flux, shape (N, P), NaN where the grid does not reach.

        Raises:
            ModelError: For an unknown survey, a wrong number of labels or velocities, or a value that is not
                finite.
        """
        table = self._checked(labels)
        if np.shape(rv) not in ((), (1,), (len(table),)):
            raise ModelError(f"rv must be one value or have shape ({len(table)},), got {np.shape(rv)}")
        velocity = torch.as_tensor(np.broadcast_to(np.asarray(rv, float), len(table)).copy())
        if not bool(torch.isfinite(velocity).all()):
            raise ModelError("rv in km/s must be finite; use 0 for the rest frame")
        coefficients = self.values_from_labels(survey, self.scale(torch.as_tensor(table)), morphed=morphed)
        return self.native.flux(coefficients, survey, velocity)

    def _checked(self, labels: ArrayLike) -> NDArray[np.float64]:
        table = np.atleast_2d(np.asarray(labels, dtype=float))
        if table.ndim != 2 or table.shape[1] != len(self.labels):
            raise ModelError(
                f"labels must have shape (N, {len(self.labels)}), got {np.shape(labels)}; "
                f"the columns are {', '.join(self.labels.names)}"
            )
        if not np.isfinite(table).all():
            name = self.labels.names[int(np.argwhere(~np.isfinite(table))[0, 1])]
            raise ModelError(f"label {name!r} must be finite; drop the star or give a value")
        return table
