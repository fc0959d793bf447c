"""What is known of single stars from elsewhere: photometric Teff, seismic log g, a cluster's [Fe/H]."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from synth2obs.core.errors import DataError
from synth2obs.core.labels import LabelSpace, unit_of
from synth2obs.models.contracts import PriorTerms
from synth2obs.models.emulator.scale import LabelScale


@dataclass(frozen=True)
class Known:
    """Normal priors of N stars on single labels.

    Args:
        centre: Scaled labels, shape (N, K), float64; any number where nothing is known.
        precision: Inverse variance of each, shape (N, K); 0 where nothing is known.
    """

    centre: Tensor
    precision: Tensor

    def take(self, rows: Tensor) -> "Known":
        """What is known of some of the stars."""
        return Known(self.centre[rows], self.precision[rows])

    def of_free(self, free: Tensor) -> "Known":
        """What is known of labels that are fitted, 1 in ``free`` (K,); nothing of those that are held."""
        return Known(self.centre, self.precision * free)

    @classmethod
    def of(
        cls, space: LabelSpace, scale: LabelScale, count: int, columns: Mapping[str, ArrayLike]
    ) -> "Known":
        """Priors in labels' units: ``{"teff": values, "teff_error": errors}``, NaN where nothing is known.

        Args:
            space: The grid's labels.
            scale: Their scaling.
            count: Number of stars N.
            columns: Values and errors by name, one for all stars or one per star.

        Raises:
            DataError: For a label that the grid lacks, one without errors, or an error that is not positive.
        """
        values = torch.as_tensor(np.tile(space.default, (count, 1)))
        sigma = torch.full_like(values, torch.inf)
        for name in (name for name in columns if not name.endswith("_error")):
            column, value, error = _checked(space, count, columns, name)
            values[:, column], sigma[:, column] = value, error
        centre = scale(values)
        return cls(centre, (scale.slope(centre) / sigma).square())


def _checked(
    space: LabelSpace, count: int, columns: Mapping[str, ArrayLike], name: str
) -> tuple[int, Tensor, Tensor]:
    """Column of a label, its values, and errors that are infinite where there is no value."""
    if name not in space.names:
        raise DataError(
            f"the grid has no label {name!r}", field="priors", remedy=f"give {', '.join(space.names)}"
        )
    if f"{name}_error" not in columns:
        raise DataError(f"{name} has no error", field="priors", remedy=f"add {name}_error in {unit_of(name)}")
    value, error = (np.asarray(columns[key], dtype=float) for key in (name, f"{name}_error"))
    if value.shape not in ((), (count,)) or error.shape not in ((), (count,)):
        raise DataError(
            f"{name} and its error have shapes {value.shape} and {error.shape}",
            field="priors",
            remedy=f"give one value, or one for each of {count} stars",
        )
    value, error = np.broadcast_to(value, count), np.broadcast_to(error, count)
    known = np.isfinite(value)
    if not (error[known] > 0).all():
        raise DataError(
            f"{name}_error must be positive, got {error[known].min()}",
            field="priors",
            remedy="leave the value of an unknown label NaN",
        )
    column = space.index(name)
    default = space.default[column]
    return column, torch.tensor(np.where(known, value, default)), torch.tensor(np.where(known, error, np.inf))


@dataclass(frozen=True)
class StarPrior:
    """A prior of all stars, and what is known of each.

    Args:
        common: θ (B, K) → `PriorTerms`.
        known: Of the same B stars.
    """

    common: Callable[[Tensor], PriorTerms]
    known: Known

    def take(self, rows: Tensor) -> "StarPrior":
        """That of some of the stars."""
        return StarPrior(self.common, self.known.take(rows))

    def __call__(self, x: Tensor) -> PriorTerms:
        """Of every star at its own scaled labels, (B, K)."""
        value, gradient, curvature = self.common(x)
        pull = self.known.precision * (x - self.known.centre)
        own = 0.5 * (pull * (x - self.known.centre)).sum(1)
        return PriorTerms(value + own, gradient + pull, curvature + torch.diag_embed(self.known.precision))

    def among(self, candidates: Tensor) -> Tensor:
        """Half χ² of every star at all candidates (N, K), shape (B, N)."""
        centre, precision = self.known.centre, self.known.precision
        square = precision @ candidates.square().T - 2.0 * (precision * centre) @ candidates.T
        own = 0.5 * (square + (precision * centre.square()).sum(1, keepdim=True))
        return self.common(candidates).value + own
