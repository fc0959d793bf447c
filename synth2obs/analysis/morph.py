"""From theory to what a survey sees."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from synth2obs.analysis.flags import FAR, OUTSIDE, in_words
from synth2obs.core.errors import DataError
from synth2obs.core.labels import labels_in_words
from synth2obs.core.shown import Shown, Summary
from synth2obs.core.wavelengths import bands, log_step
from synth2obs.models.bridge import Bridge
from synth2obs.physics.broadening import Broadening

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FASTEST = 1000.0
"""km/s that no star's rotation or macroturbulence reaches: the fastest O stars break up at some 700."""


@dataclass(frozen=True, repr=False)
class Morphed(Shown):
    """Spectra on the native pixels of a survey. N stars, P pixels.

    Args:
        survey: Its name.
        wavelength: Vacuum Å, shape (P,).
        flux: What the survey sees, continuum-normalised, shape (N, P), NaN where the grid does not reach.
        flux_theory: What theory predicts for the same star through the same instrument.
        gap: The part of ``difference`` that no latent can say: Δ of the survey.
        gap_error: Standard deviation of its posterior: an upper limit where pixels average over several cells,
            however these are correlated.
        distance: Of the labels from the grid's spectra, beyond 1 where it has nothing like them, shape (N,);
            NaN without labels.
        latent: Theory's latents, shape (N, D).
        flags: Bits as in `FLAGS`: 1 and 64 for labels, 2 and 4 for spectra, 32 for draws.
        outside: Names of the labels that lie outside, for every star.
        labels: Labels that were used, those that nobody gave included, by name in the grid's units, shape (N,) each;
            empty without labels.
        emulator_variance: Computes the square of `emulator_error`, shape (N, P), which takes longer than the spectra.
    """

    survey: str
    wavelength: NDArray[np.float64]
    flux: NDArray[np.float32]
    flux_theory: NDArray[np.float32]
    gap: NDArray[np.float32]
    gap_error: NDArray[np.float32]
    distance: NDArray[np.float64]
    latent: NDArray[np.float64]
    flags: NDArray[np.int64]
    outside: tuple[tuple[str, ...], ...]
    emulator_variance: Callable[[], Tensor] = field(repr=False, compare=False)
    labels: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def difference(self) -> NDArray[np.float32]:
        """``flux − flux_theory``: what morph and gap change together, shape (N, P)."""
        return self.flux - self.flux_theory

    @cached_property
    def emulator_error(self) -> NDArray[np.float32]:
        """Standard deviation of the error that emulator and decoder make, shape (N, P), NaN where there is no flux.

        Without labels it is that of the decoder alone. It is computed when it is first asked for.
        """
        error = self.emulator_variance().sqrt().numpy()
        return np.where(np.isfinite(self.flux), error, np.float32(np.nan))

    def summary(self) -> Summary:
        """What is shown of it."""
        stars, pixels = self.flux.shape
        flagged = in_words(self.flags)
        rows = {
            "wavelength": f"{self.wavelength[0]:.1f} to {self.wavelength[-1]:.1f} Å, vacuum",
            "flux": f"({stars}, {pixels}) in units of the continuum; also flux_theory, difference, gap, gap_error",
            "difference": f"{100.0 * _rms(self.difference):.2f} % rms, of which gap {100.0 * _rms(self.gap):.2f} %",
            "flags": flagged or "none",
        }
        if self.labels:
            rows = {"labels": labels_in_words(self.labels), **rows}
        named = sorted({name for star in self.outside for name in star})
        if named:
            rows["outside"] = ", ".join(named)
        title = f"Morphed: {stars} star{'s' * (stars != 1)} as {self.survey} sees them, {pixels} pixels"
        return Summary(title, rows, ".plot(star=0), .to_specutils(), .emulator_error")

    def plot(self, star: int = 0, wave: tuple[float, float] | None = None) -> "Figure":
        """One star as theory and the survey see it, and the difference with the gap and its error.

        Args:
            star: Its row.
            wave: First and last wavelength in vacuum Å; all if left out.

        Raises:
            DataError: For a star that is not there, or a range without pixels.
        """
        from synth2obs.analysis.plots import plot_morphed

        return plot_morphed(self, star, wave)

    def to_specutils(self) -> list[Any]:
        """Every star as a `specutils.Spectrum`: vacuum Å, flux in units of the continuum, without unit.

        The uncertainty is the σ of the model, of gap, emulator and decoder together; it is no noise. Pixels that
        the grid does not reach are masked. ``meta`` has the survey and the star's flags.

        Raises:
            DataError: If detectors overlap, so that wavelengths do not increase.
        """
        from synth2obs.io.interop import predicted_to_specutils

        error = np.hypot(self.gap_error, self.emulator_error)
        meta = [{"survey": self.survey, "medium": "vacuum", "flags": int(flag)} for flag in self.flags]
        return predicted_to_specutils(self.wavelength, self.flux, error, meta)


def _rms(values: NDArray[np.float32]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(np.square(finite, dtype=np.float64)))) if finite.size else float("nan")


@torch.no_grad()
def morph_labels(
    bridge: Bridge,
    labels: Mapping[str, ArrayLike],
    survey: str,
    rv: ArrayLike = 0.0,
    vsini: ArrayLike = 0.0,
    vmac: ArrayLike = 0.0,
) -> Morphed:
    """Theory of some labels as a survey sees it; a label outside the grid is answered and flagged.

    Args:
        bridge: Trained.
        labels: Name → value or values, in the grid's units; what is left out follows Teff, log g and
            [Fe/H], see `trends.usual`.
        survey: One of the bridge's surveys.
        rv: km/s, positive receding.
        vsini, vmac: Rotation and radial–tangential macroturbulence in km/s, one value or one per star.

    Raises:
        DataError: For an unknown label, one that is not finite, numbers of values that differ, or a velocity that
            cannot be.
        ModelError: For an unknown survey.
    """
    _same_length(labels)
    try:
        table = bridge.labels.table(labels)
    except (KeyError, ValueError) as error:
        raise DataError(str(error).strip('"'), field="labels", remedy="give finite values by name") from error
    bridge.survey(survey)
    velocity = velocities(rv, len(table))
    broadening = Broadening(*(speeds(*pair, len(table)) for pair in (("vsini", vsini), ("vmac", vmac))))
    x = bridge.scale(torch.as_tensor(table))
    distance = bridge.grid_distance(x).numpy()
    outside = bridge.labels.outside(table)
    names = tuple(tuple(compress(bridge.labels.names, row)) for row in outside)
    flags = outside.any(1) * np.int64(OUTSIDE) | (distance > 1.0) * np.int64(FAR)
    latents = bridge.emulator(x), bridge.theory_latents(survey, x)
    seen = seen_by(bridge, survey, *latents, velocity, flags, names, broadening)
    variance = partial(bridge.emulator_variance, survey, x, velocity)
    used = dict(zip(bridge.labels.names, table.T.copy(), strict=True))
    return replace(seen, distance=distance, emulator_variance=variance, labels=used)


def seen_by(
    bridge: Bridge,
    survey: str,
    latent: Tensor,
    looks: Tensor,
    rv: Tensor,
    flags: NDArray[np.int64],
    names: tuple[tuple[str, ...], ...],
    broadening: Broadening | None = None,
) -> Morphed:
    """Theory's latents through a survey's morph and gap; theory's own error is that of the decoder alone.

    Args:
        bridge, survey: Trained, and one of its surveys.
        latent: Theory's, shape (N, D).
        looks: Those where theory looks like these stars, `Bridge.theory_latents`; the same where no labels are known.
        rv: km/s, shape (N,).
        flags, names: The result's ``flags`` and ``outside``.
        broadening: Rotation and macroturbulence of every star, of theory and gap alike; None: of no star.
    """
    model = bridge.survey(survey)
    moved = model.morph(looks)[0]
    flux = bridge.native.flux(model.value(bridge.decoder, moved), survey, rv, broadening=broadening)
    plain = model.layout(bridge.decoder).without_gap(model.value(bridge.decoder, latent))
    theory = bridge.native.flux(plain, survey, rv, broadening=broadening)
    features, instrument = model.gap.features(moved).float(), bridge.instrument(survey)
    gap = instrument(_turned(bridge, model.gap(features), broadening), rv, 0.0).numpy()
    variance = _turned(bridge, model.gap.variance(features), broadening)
    error = instrument(variance, rv, 0.0).clamp(min=0).sqrt().numpy()
    return Morphed(
        survey=survey,
        wavelength=model.wavelength.numpy(),
        flux=flux,
        flux_theory=theory,
        gap=np.where(np.isfinite(flux), gap, np.nan),
        gap_error=np.where(np.isfinite(flux), error, np.nan),
        distance=np.full(len(rv), np.nan),
        latent=latent.numpy(),
        flags=flags,
        outside=names,
        emulator_variance=partial(_remainder, bridge, survey, rv),
    )


@torch.no_grad()
def _remainder(bridge: Bridge, survey: str, rv: Tensor) -> Tensor:
    """Variance of what the decoder leaves, in native pixels, shape (N, P)."""
    rest = bridge.theory_error.remainder.expand(len(rv), -1)
    return bridge.instrument(survey)(rest, rv, 0.0).clamp(min=0.0)


def _turned(bridge: Bridge, variance: Tensor, broadening: Broadening | None) -> Tensor:
    """The gap's variance (N, L) where stars rotate: averaged like the gap, which is again an upper limit."""
    if broadening is None or not bool(broadening.present.any()):
        return variance
    grid, rotates = bridge.decoder.rest_wavelength.numpy(), broadening.present
    averaged = broadening.take(rotates).apply(variance[rotates], log_step(grid), bands(grid))
    return variance.index_put((rotates,), averaged)


def velocities(rv: ArrayLike, count: int) -> Tensor:
    """One velocity for each of ``count`` stars, km/s, shape (count,).

    Raises:
        DataError: For other numbers of velocities, or one that is not finite.
    """
    values = per_star("rv", rv, count)
    if not np.isfinite(values).all():
        raise DataError(
            f"rv in km/s must be finite, got {values}", field="rv", remedy="use 0 for the rest frame"
        )
    return torch.as_tensor(values)


def speeds(name: str, given: ArrayLike, count: int) -> Tensor:
    """One speed inside a star for each of ``count`` stars, km/s, shape (count,).

    Args:
        name: ``vsini`` or ``vmac``, for the message.
        given: One value, or one per star.
        count: Number of stars.

    Raises:
        DataError: For other numbers of values, or one that is negative, not finite, or beyond any star's.
    """
    values = per_star(name, given, count)
    bad = values[~((values >= 0) & (values < FASTEST))]
    if len(bad):
        raise DataError(
            f"{name} in km/s must be at least 0 and below {FASTEST:g}, got {bad[0]}",
            field=name,
            remedy="use 0 for a star without",
        )
    return torch.as_tensor(values)


def per_star(name: str, given: ArrayLike, count: int, what: str = "velocity in km/s") -> NDArray[np.float64]:
    """One value for each of ``count`` stars, shape (count,).

    Args:
        name: Of the argument, for the message.
        given: One value, or one per star.
        count: Number of stars.
        what: A value is, for the message.

    Raises:
        DataError: For other numbers of values, or what is no number.
    """
    try:
        values = np.asarray(given, float)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"must be numbers, got {given!r}", field=name, remedy=f"give one {what}, or one per star"
        ) from error
    if values.shape not in ((), (1,), (count,)):
        raise DataError(
            f"has shape {values.shape} for {count} star{'s' * (count != 1)}",
            field=name,
            remedy=f"give one {what}, or one per star",
        )
    return np.broadcast_to(values, count).copy()


def _same_length(labels: Mapping[str, ArrayLike]) -> None:
    sizes = {name: np.size(values) for name, values in labels.items()}
    if len(set(sizes.values()) - {1}) > 1:
        found = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise DataError(
            f"numbers of values differ: {found}",
            field="labels",
            remedy="give one value each, or one per star",
        )
