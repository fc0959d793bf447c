"""What the latents mean, as arrays of a report."""

import numpy as np
from numpy.typing import NDArray

from synth2obs.analysis.latent_lines import LatentLines, Response
from synth2obs.analysis.survey_gap import Arrays

CELLS = 1500
"""Most wavelengths of a response."""


def latent_arrays(found: LatentLines) -> Arrays:
    """Responses at coarse sampling, strongest lines, correlations and partial R²; see ``docs/report.md``.

    Args:
        found: Of a bridge with D latents, K labels and N elements.
    """
    edges = _edges(len(found.wavelength))
    return {
        "latent_wavelength": np.add.reduceat(found.wavelength, edges)
        / np.diff([*edges, len(found.wavelength)]),
        "latent_response": np.stack([_extremes(row, edges) for row in found.response]).astype(np.float32),
        "latent_labels": np.array(found.labels, dtype=np.str_),
        "latent_correlation": found.correlation,
        "latent_elements": np.array(found.elements, dtype=np.str_),
        "latent_r2": found.partial_r2,
        "latent_element_r2": found.element_r2,
        **_lines(found.lines),
    }


def _edges(cells: int) -> NDArray[np.int64]:
    """Where runs of cells begin, of which there are at most `CELLS`."""
    return np.arange(0, cells, -(-cells // CELLS))


def _extremes(row: NDArray[np.float64], edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of every run of cells the value of the largest size: a mean would wash narrow lines out."""
    high, low = np.maximum.reduceat(row, edges), np.minimum.reduceat(row, edges)
    return np.where(high > -low, high, low)


def _lines(lines: tuple[tuple[Response, ...], ...]) -> Arrays:
    """Columns of the strongest lines, (D, M), with NaN and empty names where a latent has fewer."""
    most = max(map(len, lines), default=0)
    padded = [[*row, *[Response(np.nan, np.nan, "")] * (most - len(row))] for row in lines]
    return {
        "latent_line_wavelength": np.array([[line.wavelength for line in row] for row in padded]),
        "latent_line_change": np.array([[line.change for line in row] for row in padded]),
        "latent_line_name": np.array([[line.name for line in row] for row in padded], dtype=np.str_),
    }
