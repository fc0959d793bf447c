"""One survey's instrument: Doppler shift, line spread and native pixels as one linear operator."""

import math
from collections.abc import Iterator
from copy import copy
from typing import NamedTuple

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn.functional import conv1d, embedding_bag, pad

from synth2obs.core.constants import C_KMS
from synth2obs.physics.doppler import log_doppler
from synth2obs.physics.geometry import Geometry, geometry
from synth2obs.physics.lsf import REACH, Kernel, Response, applied_variance
from synth2obs.physics.pixels import check_window, row_weights, window_length
from synth2obs.physics.shared import SharedPixels, shared_pixels

CHUNK = 2**19
"""Weights (pixels × window) worked on at a time: 15 MB of work space in float32, within the caches."""

SMOOTH, LEFT = 1.6, 0.7
"""Coarse samples per σ of smoothed theory, and of the line spread left to apply, that `Instrument.coarser` keeps."""

KEPT = 8
"""Operators of one instrument that are kept, for different widths and precisions."""


class Placed(NamedTuple):
    """Pixels of a batch on the rest grid; lengths in samples, every shape broadcastable to (B, P).

    Args:
        nearest: The rest sample nearest to each pixel's centre.
        remainder: Centre minus that sample.
        band: First and last sample that the pixel may use, shape (2, ...).
        half_width: Half of the pixel.
        kernel: Line spread still to be applied.
    """

    nearest: Tensor
    remainder: Tensor
    band: Tensor
    half_width: Tensor
    kernel: Kernel | Response


class Instrument(nn.Module):
    """Doppler, line spread and pixels of one survey: rest-frame flux to native pixels.

    Where all stars share their pixels and the line spread is resolved by the rest grid, `forward` shifts each star by
    a short filter and then applies one banded matrix (`shared.SharedPixels`); otherwise every star gets rows of its own
    (`weights`). Both are the same operator. Positions are kept as a nearest rest sample and a remainder,
    so that single precision loses nothing. The buffers follow from the arguments and are not part of ``state_dict``.

    Args:
        rest_wavelength: Vacuum Å, uniform in ln λ inside bands that may have holes between them, shape (L,).
        wavelength: Native pixel centres in vacuum Å, shape (P,), or (N, P) if each star has its own.
        segment: Detector of each pixel, shape (P,); limits the pixel edges.
        lsf_sigma: The survey's Gaussian σ in Å at its pixels, shape (P,) or (G, P).
        rest_sigma: The grid's own Gaussian σ in Å, shape (L,); 0 for infinite resolution. Taken at the
            pixels' wavelengths, as if the star were at rest.
        lsf_group: Row of ``lsf_sigma`` of each star, shape (N,); needed for G > 1.
        lsf_hermite: Amplitudes of He_1 … He_M in a Gauss–Hermite line spread φ(t) (1 + Σ h_m He_m(t)) with
            t = (pixel − light) / σ, shape (P, M) or (G, P, M).
        lsf_kernel: Tabulated responses of the pixels to monochromatic light instead, pixel extent included, shape
            (P, J) or (G, P, J); ``lsf_sigma`` is then their rms width.
        lsf_offset: Offset light − pixel of their entries in Å, equally spaced, shape (J,).

    Raises:
        DataError: If the rest grid is not uniform in ln λ, a wavelength or σ is not positive, shapes
            disagree, or the survey is sharper than the grid.
    """

    nearest: Tensor
    remainder: Tensor
    band: Tensor
    half_width: Tensor
    survey_variance: Tensor
    rest_variance: Tensor
    group: Tensor | None
    hermite: Tensor | None
    table: Tensor | None
    table_start: Tensor | None
    table_step: Tensor | None

    def __init__(
        self,
        rest_wavelength: ArrayLike,
        wavelength: ArrayLike,
        segment: ArrayLike,
        lsf_sigma: ArrayLike,
        rest_sigma: ArrayLike,
        lsf_group: ArrayLike | None = None,
        *,
        lsf_hermite: ArrayLike | None = None,
        lsf_kernel: ArrayLike | None = None,
        lsf_offset: ArrayLike | None = None,
    ) -> None:
        super().__init__()
        g = geometry(
            rest_wavelength,
            wavelength,
            segment,
            lsf_sigma,
            rest_sigma,
            lsf_group,
            lsf_hermite=lsf_hermite,
            lsf_kernel=lsf_kernel,
            lsf_offset=lsf_offset,
        )
        for name, buffer in _buffers(g).items():
            self.register_buffer(name, buffer, persistent=False)
        self.samples, self.step, self.pixels = g.samples, g.step, g.position.shape[1]
        self._kept: dict[tuple[int, float, torch.dtype], SharedPixels] = {}

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

    def shift(self, rv: Tensor) -> Tensor:
        """Shift of the spectra in rest samples, shape (B,), float64.

        Raises:
            ValueError: If a velocity is not finite, or not below c.
        """
        shift = log_doppler(rv.double()) / self.step
        if not bool(torch.isfinite(shift).all()):
            raise ValueError(
                f"rv in km/s must be finite and below c, got {float(rv[~torch.isfinite(shift)][0])}; "
                "start from 0 where it is unknown"
            )
        return shift

    def place(self, rv: Tensor, width_scale: Tensor | float = 1.0, stars: Tensor | None = None) -> Placed:
        """Where the pixels of a batch fall on the rest grid; arguments as for `forward`.

        Raises:
            ValueError: If ``stars`` is needed and missing, or a velocity is not finite.
        """
        batch = len(rv)
        rest, half = (self._row(buffer, stars, batch) for buffer in (self.remainder, self.half_width))
        exact = rest - self.shift(rv).to(rest.dtype)[:, None]
        whole = exact.detach().round()
        nearest = self._row(self.nearest, stars, batch) + whole.long()
        band = torch.stack([self._row(end, stars, batch) for end in self.band])
        rows = stars if self.group is None else self._row(self.group, stars, batch)
        return Placed(nearest, exact - whole, band, half, self._kernel(width_scale, rows, stars, batch))

    def _kernel(
        self, width_scale: Tensor | float, rows: Tensor | None, stars: Tensor | None, batch: int
    ) -> Kernel | Response:
        """Line spread to apply, of the given rows of widths and stars."""
        own = self._row(self.rest_variance, stars, batch)
        survey = self._row(self.survey_variance, rows, batch)
        variance = applied_variance(survey, own, width_scale)
        if self.table is not None and self.table_start is not None and self.table_step is not None:
            start, step = (self._row(part, stars, batch) for part in (self.table_start, self.table_step))
            shrink = (variance / survey).sqrt()
            return Response(self._row(self.table, rows, batch), start * shrink, step * shrink)
        if self.hermite is None:
            return Kernel(variance)
        return Kernel(variance, width_scale * survey.sqrt(), self._row(self.hermite, rows, batch))

    def window(self, width_scale: Tensor | float = 1.0) -> int:
        """Samples T of a pixel's window, the same for every star and pixel."""
        with torch.no_grad():
            reach = self._widest(width_scale).reach().max()
        return window_length(float(self.half_width.max()), float(reach))

    def _widest(self, width_scale: Tensor | float) -> Kernel | Response:
        """The line spread of every row of the survey, with the grid's own at its narrowest."""
        variance = applied_variance(self.survey_variance, self.rest_variance.min(), width_scale)
        if self.table is None or self.table_start is None or self.table_step is None:
            return Kernel(variance, hermite=self.hermite)
        factor = (variance / self.survey_variance).sqrt().max()
        return Response(self.table[:1], self.table_start * factor, self.table_step * factor)

    @torch.no_grad()
    def valid(self, rv: Tensor, width_scale: Tensor | float = 1.0, stars: Tensor | None = None) -> Tensor:
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

    def _covered(self, placed: Placed) -> Tensor:
        centre = placed.nearest + placed.remainder.detach()
        side = placed.half_width + placed.kernel.reach().detach()
        return (centre - side >= placed.band[0]) & (centre + side <= placed.band[1])

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
        check_window(length, self.samples)
        first = (placed.nearest - length // 2).clamp(0, self.samples - length)
        covered = self._covered(placed)
        distance = (placed.nearest - first).where(covered, length // 2) + placed.remainder
        kind = dtype or rv.dtype
        rows = row_weights(
            distance.to(kind),
            placed.half_width.to(kind),
            placed.kernel.map(lambda values: values.to(kind)),
            length,
        )
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

    @property
    def log_wave(self) -> Tensor:
        """Ln λ of the pixels' centres counted from the start of the rest grid, holes left out, shape (P,) or (N, P)."""
        place = (self.nearest + self.remainder.double()) * self.step
        return place[0] if self.shared else place

    @property
    def shared(self) -> bool:
        """Whether all stars have the same pixels."""
        return len(self.nearest) == 1

    def coarser(self, width_scale: float = 1.0) -> "Coarser":
        """The same instrument for theory that part of the line spread was applied to, on a coarser rest grid.

        What is applied is a Gaussian of one width in ln λ, which commutes with the shift: as wide as leaves the rest of
        the line spread resolved. Worth it for functions that many stars share.
        """
        variance = applied_variance(self.survey_variance, self.rest_variance, width_scale)
        own = float(self.rest_variance.min())
        factor = int(((float(variance.min()) + own) / (SMOOTH**2 + LEFT**2)) ** 0.5)
        if factor < 2 or self.table is not None:
            return Coarser(self, 1, 0.0)
        sigma = max((SMOOTH * factor) ** 2 - own, 0.0) ** 0.5
        return Coarser(self._coarsened(factor, sigma), factor, sigma)

    def _coarsened(self, factor: int, sigma: float) -> "Instrument":
        new = copy(self)
        new._buffers, new._kept = dict(self._buffers), {}
        starts, stops = (
            self.band.unique(dim=1) if self.band.dim() == 2 else self.band.flatten(1).unique(dim=1)
        )
        counts = (stops - starts) // factor + 1
        firsts = counts.cumsum(0) - counts
        which = torch.searchsorted(starts, self.band[0], right=True) - 1
        position = (self.nearest - starts[which] + self.remainder) / factor + firsts[which]
        edge = math.ceil(REACH * sigma / factor)
        new.nearest, new.remainder = position.round().long(), position - position.round()
        new.band = torch.stack([firsts[which] + edge, firsts[which] + counts[which] - 1 - edge])
        new.half_width, new.step = self.half_width / factor, self.step * factor
        new.survey_variance = self.survey_variance / factor**2
        new.rest_variance = (self.rest_variance + sigma**2) / factor**2
        new.samples = int(counts.sum())
        return new

    def linearised(
        self, flux: Tensor, rv: Tensor, width_scale: float = 1.0, stars: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """`forward` and its derivative by ``rv`` per km/s, both (B, P), on pixels that all stars share."""
        shift, by_shift = self.shift(rv), self._shift_slope(rv).to(flux.dtype)[:, None]
        pairs = [
            self._operator(row, width_scale, flux.dtype).linearised(flux[some], shift[some])
            for row, some in self._by_width(stars, len(flux))
        ]
        native, slope = (self._joined(list(part), stars, len(flux)) for part in zip(*pairs, strict=True))
        return native, slope * by_shift

    def adjoint(
        self, values: Tensor, rv: Tensor, width_scale: float = 1.0, stars: Tensor | None = None
    ) -> Tensor:
        """The transpose of `forward` on pixels that all stars share: (B, P) → (B, L)."""
        shift = self.shift(rv)
        parts = [
            self._operator(row, width_scale, values.dtype).adjoint(values[some], shift[some], self.samples)
            for row, some in self._by_width(stars, len(values))
        ]
        return self._joined(parts, stars, len(values))

    def _shift_slope(self, rv: Tensor) -> Tensor:
        """Samples per km/s."""
        return 1.0 / (C_KMS * self.step * (1.0 - (rv.double() / C_KMS).square()))

    def _by_width(self, stars: Tensor | None, batch: int) -> Iterator[tuple[int, Tensor | slice]]:
        """The stars of a batch by the row of their line spread."""
        if len(self.survey_variance) == 1:
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


class Coarser(NamedTuple):
    """An instrument on a coarser rest grid, and how theory gets there.

    Args:
        instrument: For theory on the coarser grid.
        factor: Rest samples per coarse sample.
        sigma: Gaussian to be applied first, in rest samples.
    """

    instrument: Instrument
    factor: int
    sigma: float

    def sharp(self, basis: Tensor, bands: list[slice]) -> Tensor:
        """Functions (L, K) that the line spread acts on, on the coarser grid."""
        if not self.sigma:
            return self.seen(basis, bands)
        half = math.ceil(REACH * self.sigma)
        steps = torch.arange(-half, half + 1, dtype=basis.dtype)
        kernel = torch.exp(-0.5 * (steps / self.sigma) ** 2)
        kernel = (kernel / kernel.sum())[None, None]
        parts = [pad(basis[band].T[:, None], (half, half), mode="replicate") for band in bands]
        return torch.cat([conv1d(part, kernel, stride=self.factor)[:, 0].T for part in parts])

    def seen(self, basis: Tensor, bands: list[slice]) -> Tensor:
        """Functions (L, K) that are at the survey's resolution already, on the coarser grid."""
        return torch.cat([basis[band][:: self.factor] for band in bands])


def _buffers(g: Geometry) -> dict[str, Tensor | None]:
    """What an instrument keeps of its geometry."""
    position = torch.from_numpy(g.position)
    table = g.table
    arrays = {
        "band": g.band,
        "half_width": g.half_width,
        "survey_variance": g.variance,
        "rest_variance": g.rest_variance,
        "group": g.group,
        "hermite": g.hermite,
        "table": None if table is None else table.response,
        "table_start": None if table is None else table.start,
        "table_step": None if table is None else table.step,
    }
    buffers = {name: None if array is None else torch.from_numpy(array) for name, array in arrays.items()}
    return {"nearest": position.round().long(), "remainder": position - position.round(), **buffers}


def _bags(basis: Tensor, first: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of consecutive rows of ``basis``, shape (B, P, K)."""
    steps = torch.arange(weights.shape[-1], device=first.device, dtype=torch.int32)
    index = first.int()[..., None] + steps
    bags = embedding_bag(index.flatten(0, 1), basis, per_sample_weights=weights.flatten(0, 1), mode="sum")
    return bags.view(*first.shape, basis.shape[1])
