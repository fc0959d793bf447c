"""What theory lacks of a simulated survey, as that survey sees it."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from synth2obs.analysis.proof.missing import Lines
from synth2obs.analysis.proof.observe import instrument_of
from synth2obs.analysis.proof.population import label_table
from synth2obs.analysis.proof.truth import Truth
from synth2obs.analysis.proof.twist import Twist
from synth2obs.core.spectra import Spectra


def with_physics(truth: Truth, grid: Spectra, held: Spectra, template: Spectra, twist: Twist) -> Truth:
    """The truth about another physics: nature less theory, where the grid has the labels of every held-out star."""
    truth = replace(truth, listed=False)
    same = np.shape(held.wavelength) == np.shape(grid.wavelength) and np.allclose(
        held.wavelength, grid.wavelength, rtol=1e-8
    )
    place = {row.tobytes(): number for number, row in enumerate(_rounded(grid, truth.label_names))}
    rows = [place.get(row.tobytes(), -1) for row in truth.held_labels.astype(np.float32)]
    if not same or min(rows) < 0:
        return truth
    gap = _seen_at_rest(held, held.flux - grid.flux[rows], template, twist)
    return replace(
        truth, gap_wavelength=np.asarray(template.wavelength, float), gap=gap.mean(0).astype(float)
    )


def _rounded(grid: Spectra, names: NDArray[np.str_]) -> NDArray[np.float32]:
    return label_table(grid, tuple(names.tolist())).astype(np.float32)


@torch.no_grad()
def _seen_at_rest(
    nature: Spectra, rest: NDArray[np.floating], template: Spectra, twist: Twist
) -> NDArray[np.float32]:
    """Rest-frame functions on nature's grid (N, L) in the template's pixels, (N, P)."""
    still = torch.zeros(len(rest), dtype=torch.float64)
    flux = torch.from_numpy(np.asarray(rest, np.float32))
    seen: NDArray[np.float32] = instrument_of(nature, template, twist.defects)(flux, still).numpy()
    return seen


def with_lines(
    truth: Truth, lines: Lines, held: Spectra, template: Spectra, twist: Twist, others: Lines | None = None
) -> Truth:
    """The truth about lines that theory lacks, in the survey's pixels at rest.

    Args:
        truth: Without them.
        lines: That theory lacks and this survey has.
        held: Nature's spectra of the held-out stars, with all lines.
        template: Whose pixels.
        twist: Of the instrument.
        others: Lines that another survey of the same stars has instead.
    """
    gap = _seen_at_rest(held, lines.gap(held.flux), template, twist)
    if others is not None:
        elsewhere = _seen_at_rest(held, others.gap(held.flux), template, twist)
        truth = replace(truth, line_elsewhere=others.removed, gap_elsewhere=elsewhere.mean(0).astype(float))
    wavelength = np.asarray(template.wavelength, float)
    middle = np.array([feature.wavelength for feature in lines.features])
    nearest = np.abs(wavelength[None] - middle[:, None]).argmin(1)
    return replace(
        truth,
        line_element=np.array([feature.element for feature in lines.features]),
        line_wavelength=middle,
        line_start=np.array([feature.start for feature in lines.features]),
        line_stop=np.array([feature.stop for feature in lines.features]),
        line_removed=lines.removed,
        line_depth=-gap[:, nearest].astype(float),
        gap_wavelength=wavelength,
        gap=gap.mean(0).astype(float),
    )
