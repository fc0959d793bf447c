"""One survey's instrument: Doppler shift, line spread and native pixels as one sparse operator."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn.functional import embedding_bag

from synth2obs.physics.doppler import log_doppler
from synth2obs.physics.geometry import geometry
from synth2obs.physics.lsf import REACH, SHARPEST_REACH, applied_variance, reach
from synth2obs.physics.pixels import row_weights, window_length, window_start

CHUNK = 2**19
"""Weights (pixels × window) worked on at a time: 15 MB of work space in float32, within the caches."""


class Placed(NamedTuple):
    """Pixels of a batch on the rest grid; lengths in samples, every shape broadcastable to (B, P).

    Args:
        nearest: The rest sample nearest to each pixel's centre.
        remainder: Centre minus that sample.
        half_width: Half of the pixel.
        variance: σ² of the line spread still to be applied.
    """

    nearest: Tensor
    remainder: Tensor
    half_width: Tensor
    variance: Tensor


class Instrument(nn.Module):
    """Doppler, line spread and pixels of one survey: rest-frame flux to native pixels.

    Positions are kept as a nearest rest sample and a remainder, so that single precision loses
    nothing. The buffers follow from the arguments and are not part of ``state_dict``.

    Args:
        rest_wavelength: Vacuum Å, uniform in ln λ, shape (L,).
        wavelength: Native pixel centres in vacuum Å, shape (P,), or (N, P) if each star has its own.
        segment: Detector of each pixel, shape (P,); limits the pixel edges.
        lsf_sigma: The survey's Gaussian σ in Å at its pixels, shape (P,) or (G, P).
        rest_sigma: The grid's own Gaussian σ in Å, shape (L,); 0 for infinite resolution. Taken at the
            pixels' wavelengths, as if the star were at rest.
        lsf_group: Row of ``lsf_sigma`` of each star, shape (N,); needed for G > 1.

    Raises:
        DataError: If the rest grid is not uniform in ln λ, a wavelength or σ is not positive, shapes
            disagree, or the survey is sharper than the grid.
    """

    nearest: Tensor
    remainder: Tensor
    half_width: Tensor
    survey_variance: Tensor
    rest_variance: Tensor
    group: Tensor | None

    def __init__(
        self,
        rest_wavelength: ArrayLike,
        wavelength: ArrayLike,
        segment: ArrayLike,
        lsf_sigma: ArrayLike,
        rest_sigma: ArrayLike,
        lsf_group: ArrayLike | None = None,
    ) -> None:
        super().__init__()
        g = geometry(rest_wavelength, wavelength, segment, lsf_sigma, rest_sigma, lsf_group)
        position = torch.from_numpy(g.position)
        buffers = {
            "nearest": position.round().long(),
            "remainder": position - position.round(),
            "half_width": torch.from_numpy(g.half_width),
            "survey_variance": torch.from_numpy(g.variance),
            "rest_variance": torch.from_numpy(g.rest_variance),
            "group": None if g.group is None else torch.from_numpy(g.group),
        }
        for name, buffer in buffers.items():
            self.register_buffer(name, buffer, persistent=False)
        self.samples, self.step, self.pixels = g.samples, g.step, position.shape[1]
        self._bounds = float(g.half_width.max()), float(g.variance.max()), float(g.rest_variance.min())

    def _row(self, buffer: Tensor, rows: Tensor | None, batch: int) -> Tensor:
        """The rows of a buffer that belong to the stars of a batch; one row serves all of them."""
        if len(buffer) == 1:
            return buffer
        if rows is not None:
            return buffer[rows]
        if len(buffer) != batch:
            raise ValueError(
                f"stars is needed: a batch of {batch} velocities, but pixels or line spread of {len(buffer)} "
                "stars; give the row of each star in the survey"
            )
        return buffer

    def place(self, rv: Tensor, width_scale: Tensor | float = 1.0, stars: Tensor | None = None) -> Placed:
        """Where the pixels of a batch fall on the rest grid; arguments as for `forward`.

        Raises:
            ValueError: If ``stars`` is needed and missing, or a velocity is not finite.
        """
        batch = len(rv)
        rest, half, own = (
            self._row(buffer, stars, batch)
            for buffer in (self.remainder, self.half_width, self.rest_variance)
        )
        rows = stars
        if self.group is not None:
            rows = self._row(self.group, stars, batch)
        variance = applied_variance(self._row(self.survey_variance, rows, batch), own, width_scale)
        shift = log_doppler(rv.to(rest.dtype)) / self.step
        if not bool(torch.isfinite(shift).all()):
            raise ValueError(
                f"rv in km/s must be finite and below c, got {float(rv[~torch.isfinite(shift)][0])}; "
                "start from 0 where it is unknown"
            )
        exact = rest - shift[:, None]
        whole = exact.detach().round()
        return Placed(self._row(self.nearest, stars, batch) + whole.long(), exact - whole, half, variance)

    def window(self, width_scale: Tensor | float = 1.0) -> int:
        """Samples T of a pixel's window, the same for every star and pixel."""
        half, survey, own = self._bounds
        factor = float(width_scale.detach()) if isinstance(width_scale, Tensor) else width_scale
        variance = max(factor**2 * survey - own, 0.0)
        return window_length(half, max(REACH * variance**0.5, SHARPEST_REACH))

    @torch.no_grad()
    def valid(self, rv: Tensor, width_scale: Tensor | float = 1.0, stars: Tensor | None = None) -> Tensor:
        """Whether the rest grid covers a pixel and all of its line spread, shape (B, P), bool."""
        return self._covered(self.place(rv, width_scale, stars))

    def _covered(self, placed: Placed) -> Tensor:
        centre = placed.nearest + placed.remainder.detach()
        side = placed.half_width + reach(placed.variance.detach())
        return (centre - side >= 0) & (centre + side <= self.samples - 1)

    def weights(
        self,
        rv: Tensor,
        width_scale: Tensor | float = 1.0,
        stars: Tensor | None = None,
        dtype: torch.dtype | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The operator's rows: pixel p of star b is Σ_t weights[b, p, t] · flux[b, index[b, p] + t].

        Args:
            rv: km/s, positive when receding, shape (B,).
            width_scale: Factor on the survey's σ, scalar. Where it would make the survey sharper than
                the grid, the line spread left to apply is held at zero.
            stars: Row of each star in the survey, shape (B,); for pixels or widths of their own.
            dtype: Of the weights; that of ``rv`` by default.

        Returns:
            First sample (B, P), int64, and weights (B, P, T), differentiable in ``rv`` and
            ``width_scale``. Rows sum to 1, or are all 0 where `valid` is False.

        Raises:
            ValueError: If ``stars`` is needed and missing, a velocity is not finite (or not below c),
                or the grid is shorter than a window.
        """
        placed = self.place(rv, width_scale, stars)
        length = self.window(width_scale)
        first = window_start(placed.nearest, length, self.samples)
        covered = self._covered(placed)
        distance = (placed.nearest - first).where(covered, length // 2) + placed.remainder
        kind = dtype or rv.dtype
        rows = row_weights(distance.to(kind), placed.half_width.to(kind), placed.variance.to(kind), length)
        if not bool(covered.all()):
            rows = rows * covered[..., None]
        return first, rows

    def forward(
        self, flux: Tensor, rv: Tensor, width_scale: Tensor | float = 1.0, stars: Tensor | None = None
    ) -> Tensor:
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
        parts = []
        for chunk, first, rows in self._chunks(rv, width_scale, stars, flux.dtype):
            index = first[..., None] + torch.arange(rows.shape[-1], device=first.device)
            windows = flux[chunk].gather(1, index.flatten(1)).view_as(rows)
            parts.append(torch.linalg.vecdot(windows, rows))
        return torch.cat(parts)

    def project(
        self, basis: Tensor, rv: Tensor, width_scale: Tensor | float = 1.0, stars: Tensor | None = None
    ) -> Tensor:
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

    def _widths(self) -> Tensor:
        """What has one row per star whose line spread differs."""
        return self.survey_variance if self.group is None else self.group

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
