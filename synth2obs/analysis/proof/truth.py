"""What is true of a simulated survey; it scores and nothing else, so it has a file of its own."""

import io
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.files import write_atomic

Floats = NDArray[np.float64]


def _none() -> NDArray[Any]:
    return np.zeros(0)


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What is true. S stars train, N are held out, P native pixels, W lines of the grid.

    Args:
        label_names: K names, in the grid's order.
        labels, held_labels: Shapes (S, K) and (N, K), in their units.
        rv, held_rv: km/s.
        spectrum, held_spectrum: Row in nature's grid that each star has, shapes (S,) and (N,).
        held_flux: Normalised flux of the held-out stars without noise, shape (N, P).
        noise: Noise over the noise that is stated.
        line_spread: Width of lines over the width that is stated.
        pixel_wavelength: Where pixels are said to be, vacuum Å, shape (P,).
        distortion: Velocity in km/s by which lines lie too far to the red there, shape (P,).
        listed: Whether theory lacks nothing but the lines that are removed.
        drift: Standard deviations by which the stars' mean lies beyond the grid's.
        line_element, line_wavelength, line_start, line_stop: Of the grid's lines in vacuum Å; empty without any.
        line_removed: Which of them theory lacks, shape (W,).
        line_elsewhere: Which theory lacks and another survey of the same stars has in this one's place, shape (W,).
        line_depth: Depth that theory lacks at each line, of every held-out star, as the survey sees it, (N, W).
        gap_wavelength: Vacuum Å, shape (P,).
        gap: Mean over the held-out stars of what nature has and theory lacks, as the survey sees it, (P,); empty where
            it is nothing, or not known.
        gap_elsewhere: The same of the lines that another survey has instead, shape (P,).
    """

    label_names: NDArray[np.str_]
    labels: Floats
    held_labels: Floats
    rv: Floats
    held_rv: Floats
    spectrum: NDArray[np.integer[Any]]
    held_spectrum: NDArray[np.integer[Any]]
    held_flux: NDArray[np.float32]
    noise: float = 1.0
    line_spread: float = 1.0
    pixel_wavelength: NDArray[Any] = field(default_factory=_none)
    distortion: NDArray[Any] = field(default_factory=_none)
    drift: float = 0.0
    listed: bool = True
    line_element: NDArray[Any] = field(default_factory=lambda: np.zeros(0, "U2"))
    line_wavelength: NDArray[Any] = field(default_factory=_none)
    line_start: NDArray[Any] = field(default_factory=_none)
    line_stop: NDArray[Any] = field(default_factory=_none)
    line_removed: NDArray[Any] = field(default_factory=lambda: np.zeros(0, bool))
    line_elsewhere: NDArray[Any] = field(default_factory=lambda: np.zeros(0, bool))
    line_depth: NDArray[Any] = field(default_factory=lambda: np.zeros((0, 0)))
    gap_wavelength: NDArray[Any] = field(default_factory=_none)
    gap: NDArray[Any] = field(default_factory=_none)
    gap_elsewhere: NDArray[Any] = field(default_factory=_none)

    def facts(self) -> dict[str, Any]:
        """Numbers of stars, of different spectra among them, and of lines."""
        return {
            "stars": len(self.labels),
            "held": len(self.held_labels),
            "distinct": len(np.unique(self.spectrum)),
            "held_distinct": len(np.unique(self.held_spectrum)),
            "drift": self.drift,
            "lines": len(self.line_removed),
            "lines_removed": int(self.line_removed.sum()),
        }

    def save(self, path: Path) -> None:
        """Write an npz without pickles."""
        buffer = io.BytesIO()
        columns = {part.name: np.asarray(getattr(self, part.name)) for part in fields(self)}
        np.savez_compressed(buffer, allow_pickle=False, **columns)
        write_atomic(path, buffer.getvalue())

    @classmethod
    def load(cls, path: Path) -> "Truth":
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            columns: dict[str, Any] = {name: stored[name] for name in stored.files}
        scalars = {name: columns[name].item() for name in ("noise", "line_spread", "drift", "listed")}
        return cls(**{**columns, **scalars})
