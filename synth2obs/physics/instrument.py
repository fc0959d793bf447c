"""One survey's instrument: Doppler shift, line spread and native pixels as one linear operator."""

from collections.abc import Iterator
from copy import copy

import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn.functional import embedding_bag

from synth2obs.core.line_spread import LineSpread
from synth2obs.core.shapes import shaped
from synth2obs.physics.placement import Placement
from synth2obs.physics.shared import SharedPixels, shared_pixels

CHUNK = 2**19
"""Weights (pixels × window) worked on at a time: 15 MB of work space in float32, within the caches."""

KEPT = 8
"""Operators of one instrument that are kept, for different widths and precisions."""


@shaped
class Instrument(Placement):
    """Doppler, line spread and pixels of one survey: rest-frame flux to native pixels.

    Where all stars share their pixels and the line spread is resolved by the rest grid, `forward` shifts each star by
    a short filter and then applies one banded matrix (`shared.SharedPixels`); otherwise every star gets rows of its own
    (`weights`). Both are the same operator.

    Args:
        rest_wavelength: Vacuum Å, uniform in ln λ inside bands that may have holes between them, shape (L,).
        wavelength: Native pixel centres in vacuum Å, shape (P,), or (N, P) if each star has its own.
        segment: Detector of each pixel, shape (P,); limits the pixel edges.
        line_spread: The survey's, at its pixels; that of one star serves all.
        rest_sigma: The grid's own Gaussian σ in Å, shape (L,); 0 for infinite resolution. Taken at the
            pixels' wavelengths, as if the star were at rest.

    Raises:
        DataError: If the rest grid is not uniform in ln λ, a wavelength or σ is not positive, shapes
            disagree, a tabulated line spread has unequal steps, or the survey is sharper than the grid.
    """

    def __init__(
        self,
        rest_wavelength: ArrayLike,
        wavelength: ArrayLike,
        segment: ArrayLike,
        line_spread: LineSpread,
        rest_sigma: ArrayLike,
    ) -> None:
        super().__init__(rest_wavelength, wavelength, segment, line_spread, rest_sigma)
        self._kept: dict[tuple[int, float, torch.dtype], SharedPixels] = {}

    @torch.no_grad()
    def valid(
        self,
        rv: Float[Tensor, " stars"],
        width_scale: Float[Tensor, ""] | float = 1.0,
        stars: Int[Tensor, " stars"] | None = None,
    ) -> Bool[Tensor, "stars pixels"]:
        """Whether the rest grid covers a pixel and all of its line spread, shape (B, P), bool."""
        if not self.shared:
            return self._covered(self.place(rv, width_scale, stars))
        shift = self.shift(rv)
        parts = []
        for row, some in self._by_width(stars, len(rv)):
            covered = self._operator(row, float(width_scale), torch.float64).covers(shift[some])
            everywhere = torch.ones(len(shift[some]), self.pixels, dtype=torch.bool, device=rv.device)
            parts.append(everywhere if covered is None else covered)
        return self._joined(parts, stars, len(rv))

    def forward(
        self,
        flux: Float[Tensor, "stars cells"],
        rv: Float[Tensor, " stars"],
        width_scale: Float[Tensor, ""] | float = 1.0,
        stars: Int[Tensor, " stars"] | None = None,
    ) -> Float[Tensor, "stars pixels"]:
        """Native pixels of rest-frame spectra.

        Args:
            flux: Shape (B, L) on the rest grid.
            rv: km/s, positive when receding, shape (B,).
            width_scale: Factor on the survey's σ, scalar.
            stars: Row of each star in the survey, shape (B,); for pixels or widths of their own.

        Returns:
            Shape (B, P), twice differentiable in ``flux``, ``rv`` and ``width_scale``; 0 where `valid` is
            False.

        Raises:
            ValueError: As for `weights`, or if ``flux`` is not on the rest grid.
        """
        self._check(flux.shape[-1], "flux")
        if self.shared:
            shift = self.shift(rv)
            parts = [
                self._operator(row, width_scale, flux.dtype)(flux[some], shift[some])
                for row, some in self._by_width(stars, len(flux))
            ]
            return self._joined(parts, stars, len(flux))
        parts = []
        for chunk, first, rows in self._chunks(rv, width_scale, stars, flux.dtype):
            index = first[..., None] + torch.arange(rows.shape[-1], device=first.device)
            windows = flux[chunk].gather(1, index.flatten(1)).view_as(rows)
            parts.append(torch.linalg.vecdot(windows, rows))
        return torch.cat(parts)

    def on_grid(self, samples: int, step: float, **buffers: Tensor) -> "Instrument":
        """The same instrument on another rest grid.

        Args:
            samples: Their number.
            step: Their spacing in ln λ.
            buffers: Buffers in samples of that grid; all others stay.
        """
        new = copy(self)
        new._buffers, new._kept = {**self._buffers, **buffers}, {}
        new.samples, new.step = samples, step
        return new

    def linearised(
        self,
        flux: Float[Tensor, "stars cells"],
        rv: Float[Tensor, " stars"],
        width_scale: float = 1.0,
        stars: Int[Tensor, " stars"] | None = None,
    ) -> tuple[Float[Tensor, "stars pixels"], Float[Tensor, "stars pixels"]]:
        """`forward` and its derivative by ``rv`` per km/s, both (B, P), on pixels that all stars share."""
        shift, by_shift = self.shift(rv), self._shift_slope(rv).to(flux.dtype)[:, None]
        pairs = [
            self._operator(row, width_scale, flux.dtype).linearised(flux[some], shift[some])
            for row, some in self._by_width(stars, len(flux))
        ]
        native, slope = (self._joined(list(part), stars, len(flux)) for part in zip(*pairs, strict=True))
        return native, slope * by_shift

    def adjoint(
        self,
        values: Float[Tensor, "stars pixels"],
        rv: Float[Tensor, " stars"],
        width_scale: float = 1.0,
        stars: Int[Tensor, " stars"] | None = None,
    ) -> Float[Tensor, "stars cells"]:
        """The transpose of `forward` on pixels that all stars share: (B, P) → (B, L)."""
        shift = self.shift(rv)
        parts = [
            self._operator(row, width_scale, values.dtype).adjoint(values[some], shift[some], self.samples)
            for row, some in self._by_width(stars, len(values))
        ]
        return self._joined(parts, stars, len(values))

    def _by_width(self, stars: Tensor | None, batch: int) -> Iterator[tuple[int, Tensor | slice]]:
        """The stars of a batch by the row of their line spread; of no star, an empty one."""
        if len(self.survey_variance) == 1 or batch == 0:
            yield 0, slice(None)
            return
        rows = self._row(self._widths(), stars, batch)
        for row in rows.unique().tolist():
            yield row, (rows == row).nonzero()[:, 0]

    def _joined(self, parts: list[Tensor], stars: Tensor | None, batch: int) -> Tensor:
        """Results of `_by_width` in the order of the batch."""
        if len(parts) == 1:
            return parts[0]
        order = torch.cat([torch.as_tensor(some) for _, some in self._by_width(stars, batch)])
        return torch.cat(parts)[order.argsort()]

    def _operator(self, row: int, width_scale: Tensor | float, dtype: torch.dtype) -> SharedPixels:
        """The operator of one line spread, kept unless the width is being differentiated."""
        if isinstance(width_scale, Tensor) and width_scale.requires_grad:
            return self._make_operator(row, width_scale, dtype)
        key = row, float(width_scale), dtype
        if key not in self._kept:
            while len(self._kept) >= KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[key] = self._make_operator(row, float(width_scale), dtype)
        return self._kept[key]

    def _make_operator(self, row: int, width_scale: Tensor | float, dtype: torch.dtype) -> SharedPixels:
        kernel = self._kernel(width_scale, torch.tensor([row]), None, 1)
        position = self.nearest[0] + self.remainder[0].double()
        own = kernel.map(lambda values: values[0].double())
        return shared_pixels(position, self.band[:, 0], self.half_width[0].double(), own, self.step, dtype)

    def project(
        self,
        basis: Float[Tensor, "cells functions"],
        rv: Float[Tensor, " stars"],
        width_scale: Float[Tensor, ""] | float = 1.0,
        stars: Int[Tensor, " stars"] | None = None,
    ) -> Float[Tensor, "stars pixels functions"]:
        """The operator of each star applied to rest-frame functions that all stars share.

        Args:
            basis: Shape (L, K) on the rest grid.
            rv: km/s, positive when receding, shape (B,).
            width_scale: Factor on the survey's σ, scalar.
            stars: Row of each star in the survey, shape (B,); for pixels or widths of their own.

        Returns:
            Shape (B, P, K), differentiable once in ``basis``, ``rv`` and ``width_scale``. Work space
            beside the result stays near 15 MB as long as no gradient is recorded.

        Raises:
            ValueError: As for `weights`, or if ``basis`` is not on the rest grid.
        """
        self._check(basis.shape[0], "basis")
        chunks = self._chunks(rv, width_scale, stars, basis.dtype)
        return torch.cat([_bags(basis, first, rows) for _, first, rows in chunks])

    def _chunks(
        self, rv: Tensor, width_scale: Tensor | float, stars: Tensor | None, dtype: torch.dtype
    ) -> Iterator[tuple[slice, Tensor, Tensor]]:
        """The operator's rows, for a few stars at a time."""
        if stars is None and max(len(self.nearest), len(self._widths())) > 1:
            self._row(self.nearest, None, len(rv))
            self._row(self._widths(), None, len(rv))
            stars = torch.arange(len(rv), device=rv.device)
        size = max(1, CHUNK // (self.pixels * self.window(width_scale)))
        for start in range(0, max(len(rv), 1), size):
            chunk = slice(start, start + size)
            rows = None if stars is None else stars[chunk]
            yield chunk, *self.weights(rv[chunk], width_scale, rows, dtype)

    def _check(self, length: int, name: str) -> None:
        if length != self.samples:
            raise ValueError(
                f"{name} has {length} samples, the instrument's rest grid {self.samples}; "
                "resample it to rest_wavelength"
            )


def _bags(basis: Tensor, first: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of consecutive rows of ``basis``, shape (B, P, K)."""
    steps = torch.arange(weights.shape[-1], device=first.device, dtype=torch.int32)
    index = first.int()[..., None] + steps
    bags = embedding_bag(index.flatten(0, 1), basis, per_sample_weights=weights.flatten(0, 1), mode="sum")
    return bags.view(*first.shape, basis.shape[1])
