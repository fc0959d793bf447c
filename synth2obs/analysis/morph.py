"""From theory to what a survey sees."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from synth2obs.analysis.flags import in_words
from synth2obs.core.labels import labels_in_words
from synth2obs.core.shown import Shown, Summary

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, repr=False)
class Morphed(Shown):
    """Spectra on the native pixels of a survey, or of an instrument. N stars, P pixels.

    Args:
        survey: Its name; empty where an instrument is shown theory alone.
        wavelength: Vacuum Å, shape (P,).
        flux: What the survey sees, continuum-normalised, shape (N, P), NaN where the grid does not reach. Through an
            instrument: theory, or with a survey's morph and gap where that is known and the instrument not sharper.
        flux_theory: What theory predicts for the same star through the same instrument.
        gap: The part of ``difference`` that no latent can say: Δ of the survey; NaN for theory alone, whose gap nobody
            knows.
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
        instrument: Name of the instrument whose pixels these are, if they are not the survey's.
        source_variance: The same of `source_error`; None where no spectrum was translated.
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
    instrument: str = ""
    source_variance: Callable[[], Tensor] | None = field(default=None, repr=False, compare=False)

    @property
    def seen(self) -> str:
        """Who sees them, in words."""
        if not self.instrument:
            return f"as {self.survey} sees them"
        added = f"with morph and gap of {self.survey}" if self.survey else "theory alone, no morph and no gap"
        return f"as {self.instrument} would see them, {added}"

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

    @cached_property
    def source_error(self) -> NDArray[np.float32]:
        """Standard deviation that the noise of the spectra from which these were predicted makes, shape (N, P).

        0 where labels or draws made them, NaN where there is no flux. Velocity and continuum count as known: it is an
        upper limit for who fits these again. It is computed when it is first asked for.
        """
        if self.source_variance is None:
            error = np.zeros_like(self.flux)
        else:
            error = self.source_variance().sqrt().float().numpy()
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
        if self.instrument:
            seen = int(np.isfinite(self.flux).any(0).sum())
            rows["pixels"] = (
                f"{seen} of {pixels} have flux; theory or gap of the others is unknown or too blurred"
            )
        if not self.survey:
            del rows["difference"]
        if self.labels:
            rows = {"labels": labels_in_words(self.labels), **rows}
        named = sorted({name for star in self.outside for name in star})
        if named:
            rows["outside"] = ", ".join(named)
        title = f"Morphed: {stars} star{'s' * (stars != 1)} {self.seen}, {pixels} pixels"
        return Summary(title, rows, ".plot(star=0), .to_specutils(), .emulator_error")

    def about(self) -> dict[str, str]:
        """Survey, instrument if it is another, and medium, to be written beside the spectra."""
        instrument = {"instrument": self.instrument} if self.instrument else {}
        return {"survey": self.survey, **instrument, "medium": "vacuum"}

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

        The uncertainty is the σ of the model, of gap, emulator, decoder and source together; it is no noise. Pixels
        that the grid does not reach are masked. ``meta`` has the survey and the star's flags.

        Raises:
            DataError: If detectors overlap, so that wavelengths do not increase.
        """
        from synth2obs.io.interop import predicted_to_specutils

        # Theory alone has no gap, so that there is no error of one.
        gap_error = self.gap_error if self.survey else np.float32(0.0)
        error = np.hypot(np.hypot(gap_error, self.emulator_error), self.source_error)
        about = self.about()
        meta = [{**about, "flags": int(flag)} for flag in self.flags]
        return predicted_to_specutils(self.wavelength, self.flux, error, meta)


def _rms(values: NDArray[np.float32]) -> float:
    finite = values[np.isfinite(values)]
    return float(np.sqrt(np.mean(np.square(finite, dtype=np.float64)))) if finite.size else float("nan")
