"""Spectra of one survey in the form that fits need."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from synth2obs.core.errors import DataError
from synth2obs.core.spectra import Spectra
from synth2obs.models.bridge import Bridge
from synth2obs.models.priors.known import Known
from synth2obs.physics.continuum import chebyshev_basis, common_basis
from synth2obs.physics.instrument import Instrument

BATCH = 64
"""Stars worked on at a time."""


@dataclass(frozen=True)
class Observation:
    """Spectra of one survey, ready to be fitted.

    Args:
        survey: Its name.
        instrument: Its operator on these pixels.
        flux: Scaled to a median of 1, shape (N, P), 0 where masked.
        ivar: Of that flux, shape (N, P).
        log_wave: ln λ of where the pixels really are, (P,) or (N, P).
        continuum_basis: Chebyshev functions, (P, C) or (N, P, C).
        rv: Velocities to start from in km/s, shape (N,).
        stars: Row of each star in the instrument, shape (N,); None for the same order.
        segment: Detector of each pixel, shape (P,).
        unknown: Whether a star's velocity has to be looked for, shape (N,); None: for no star.
        known: What is known of the stars' labels; None: nothing.
    """

    survey: str
    instrument: Instrument
    flux: Tensor
    ivar: Tensor
    log_wave: Tensor
    continuum_basis: Tensor
    rv: Tensor
    segment: Tensor
    stars: Tensor | None = None
    unknown: Tensor | None = None
    known: Known | None = None

    def __len__(self) -> int:
        return len(self.flux)

    @property
    def width(self) -> float:
        """The median σ of the line spread in ln λ."""
        variance = self.instrument.survey_variance
        return float(variance.median().sqrt()) * self.instrument.step

    def take(self, rows: Tensor) -> "Observation":
        """Some of the stars; their pixels stay those of the same instrument."""
        origin = torch.arange(len(self)) if self.stars is None else self.stars
        return replace(
            self,
            flux=self.flux[rows],
            ivar=self.ivar[rows],
            log_wave=self.rows("log_wave", rows),
            continuum_basis=self.rows("continuum_basis", rows),
            rv=self.rv[rows],
            stars=origin[rows],
            unknown=None if self.unknown is None else self.unknown[rows],
            known=None if self.known is None else self.known.take(rows),
        )

    def instrument_rows(self, rows: Tensor) -> Tensor:
        """Rows of the instrument that belong to some of the stars."""
        return rows if self.stars is None else self.stars[rows]

    def batches(self) -> Iterator[Tensor]:
        """Row indices, a batch at a time."""
        yield from torch.arange(len(self)).split(BATCH)

    def rows(self, name: str, rows: Tensor) -> Tensor:
        """A field's rows, or the field itself where stars share it."""
        value: Tensor = getattr(self, name)
        own = value.dim() == (3 if name == "continuum_basis" else 2)
        return value[rows] if own else value


def prepare(bridge: Bridge, survey: str, spectra: Spectra) -> Observation:
    """Put spectra of a survey into the form that fits need.

    Raises:
        DataError: If the spectra have no ivar.
    """
    if spectra.ivar is None:
        raise DataError("ivar is needed to fit spectra; a grid has none", field="ivar")
    segment = torch.as_tensor(np.asarray(spectra.segment, dtype=np.int64))
    wavelength = bridge.survey(survey).distortion.corrected(spectra.wavelength, segment)
    instrument = bridge.instrument(survey, spectra.wavelength, spectra.segment, spectra.line_spread)
    order = bridge.survey(survey).config.continuum.order
    # Scaled in the precision that they have: in units that make fluxes tiny, float32 does not hold their errors.
    flux, ivar = torch.as_tensor(spectra.flux), torch.as_tensor(spectra.ivar)
    precision = torch.promote_types(flux.dtype, ivar.dtype)
    flux, ivar = flux.to(precision), ivar.to(precision)
    good = ivar > 0
    level = flux.where(good, torch.nan).nanmedian(1, keepdim=True).values.nan_to_num(1.0).abs()
    level = level.where(level > 0, 1.0)
    known = torch.as_tensor(np.nan_to_num(spectra.rv), dtype=torch.float64)
    return Observation(
        survey,
        instrument,
        (flux.where(good, 0.0) / level).float(),
        (ivar * level.square()).float(),
        wavelength.log(),
        common_basis(chebyshev_basis(wavelength, segment, order)).float(),
        known if spectra.frame != "rest" else torch.zeros(len(spectra), dtype=torch.float64),
        segment,
        unknown=torch.from_numpy(np.isnan(spectra.rv)) if spectra.frame != "rest" else None,
    )
