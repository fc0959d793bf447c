"""Where the pixels of a batch of stars fall on the rest grid, and the rows of weights that they take from there."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int
from numpy.typing import ArrayLike
from torch import Tensor, nn

from synth2obs.core.constants import C_KMS
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.shapes import shaped
from synth2obs.physics.doppler import log_doppler
from synth2obs.physics.geometry import Geometry, geometry
from synth2obs.physics.lsf import Kernel, Response, applied_variance
from synth2obs.physics.pixels import check_window, row_weights, window_length


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


@shaped
class Placement(nn.Module):
    """Pixels and line spread of one survey on a rest grid, for stars of any velocity; `Instrument` applies it.

    Positions are kept as a nearest rest sample and a remainder, so that single precision loses nothing. The buffers
    follow from the arguments, which are those of `Instrument`, and are not part of ``state_dict``.
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
        line_spread: LineSpread,
        rest_sigma: ArrayLike,
    ) -> None:
        super().__init__()
        g = geometry(rest_wavelength, wavelength, segment, line_spread, rest_sigma)
        for name, buffer in _buffers(g).items():
            self.register_buffer(name, buffer, persistent=False)
        self.samples, self.step, self.pixels = g.samples, g.step, g.position.shape[1]

    @property
    def log_wave(self) -> Float64[Tensor, "... pixels"]:
        """Ln λ of the pixels' centres counted from the start of the rest grid, holes left out, shape (P,) or (N, P)."""
        place = (self.nearest + self.remainder.double()) * self.step
        return place[0] if self.shared else place

    @property
    def shared(self) -> bool:
        """Whether all stars have the same pixels."""
        return len(self.nearest) == 1

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

    def shift(self, rv: Float[Tensor, " stars"]) -> Float64[Tensor, " stars"]:
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

    def place(
        self,
        rv: Float[Tensor, " stars"],
        width_scale: Float[Tensor, ""] | float = 1.0,
        stars: Int[Tensor, " stars"] | None = None,
    ) -> Placed:
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

    def window(self, width_scale: Float[Tensor, ""] | float = 1.0) -> int:
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

    def _covered(self, placed: Placed) -> Tensor:
        centre = placed.nearest + placed.remainder.detach()
        side = placed.half_width + placed.kernel.reach().detach()
        return (centre - side >= placed.band[0]) & (centre + side <= placed.band[1])

    def weights(
        self,
        rv: Float[Tensor, " stars"],
        width_scale: Float[Tensor, ""] | float = 1.0,
        stars: Int[Tensor, " stars"] | None = None,
        dtype: torch.dtype | None = None,
    ) -> tuple[Int[Tensor, "stars pixels"], Float[Tensor, "stars pixels steps"]]:
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

    def _shift_slope(self, rv: Tensor) -> Tensor:
        """Samples per km/s."""
        return 1.0 / (C_KMS * self.step * (1.0 - (rv.double() / C_KMS).square()))

    def _widths(self) -> Tensor:
        """What has one row per star whose line spread differs."""
        return self.survey_variance if self.group is None else self.group


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
