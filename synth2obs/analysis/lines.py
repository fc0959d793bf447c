"""The strongest lines of a gap spectrum, and the element that explains each of them best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

NONE = "none"
"""Name of the template in which no element explains a line."""

TELLURIC = (
    (6276.0, 6322.0, "telluric O₂ γ"),
    (6867.0, 6946.0, "telluric O₂ B"),
    (7160.0, 7342.0, "telluric H₂O"),
)
"""Bands of the Earth's atmosphere in vacuum Å (Hinkle et al. 2003, BAAS 35, 1260): no star made a line there."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line that theory lacks (positive depth) or makes too strong (negative).

    Args:
        wavelength: Centroid in Å.
        depth, depth_error: Minus the gap at its extremum, in normalised flux.
        equivalent_width, equivalent_width_error: Minus the integral of the gap, in mÅ.
        significance: ``|depth| / depth_error``.
        start, stop: Wavelengths in Å of its first and last cell.
    """

    wavelength: float
    depth: float
    depth_error: float
    equivalent_width: float
    equivalent_width_error: float
    significance: float
    start: float
    stop: float


@dataclass(frozen=True, kw_only=True)
class AttributedLine(Line):
    """A line, and the element whose gradient explains it best.

    Args:
        element: Most probable element, however improbable; ``none`` if no element was compared.
        probability: Its probability among all templates; 0 if no element was compared.
        runner_up: The second most probable element; ``none`` if there is no other.
        change: Change of the element's abundance that would explain the line, in dex; NaN without an element.
        unexplained: Probability of ``none``: continuum, or a line that no gradient has.
        probabilities: Of every template, ``none`` included.
        note: The band of the Earth's atmosphere in which it lies, or nothing.
    """

    element: str
    probability: float
    runner_up: str
    change: float
    unexplained: float
    probabilities: Mapping[str, float]
    note: str


def strongest_lines(
    gap: ArrayLike,
    sigma: ArrayLike,
    wavelength: ArrayLike,
    count: int = 50,
    min_separation: float = 1.0,
    threshold: float = 5.0,
) -> list[Line]:
    """Lines around the most significant local extrema of a gap spectrum, strongest first.

    A line is the connected run of cells around an extremum that have its sign, exceed one sigma and lie
    within ``min_separation``; no two lines share a cell or have extrema nearer than ``min_separation``.

    Args:
        gap: Gap in normalised flux, shape (L,).
        sigma: Its standard deviation, shape (L,); a cell whose sigma is not finite and positive is left out.
        wavelength: Å, increasing, shape (L,).
        count: Most lines to return.
        min_separation: Å.
        threshold: Least ``|gap| / sigma`` at the extremum.

    Returns:
        At most ``count`` lines.
    """
    gap, sigma, wavelength = (np.asarray(a, np.float64) for a in (gap, sigma, wavelength))
    if not gap.shape == sigma.shape == wavelength.shape or gap.ndim != 1:
        raise ValueError(
            f"gap, sigma and wavelength must have one shape (L,), got {gap.shape}, {sigma.shape}, "
            f"{wavelength.shape}"
        )
    known = np.isfinite(gap) & np.isfinite(sigma) & (sigma > 0)
    score = np.divide(gap, sigma, out=np.zeros_like(gap), where=known)
    free = np.ones(len(gap), bool)
    lines: list[Line] = []
    for peak in _extrema(np.abs(score), threshold):
        if len(lines) == count:
            break
        if free[peak]:
            near = np.abs(wavelength - wavelength[peak]) < min_separation
            cells = _run(free & near & (score * np.sign(score[peak]) > 1), peak)
            lines.append(_line(gap, sigma, wavelength, peak, cells))
            free[near] = False
            free[cells] = False
    return lines


def _extrema(height: Floats, threshold: float) -> NDArray[np.intp]:
    """Local maxima above the threshold, highest first."""
    padded = np.concatenate([[-np.inf], height, [-np.inf]])
    peak = (height >= padded[:-2]) & (height > padded[2:]) & (height >= threshold)
    (cells,) = np.nonzero(peak)
    return cells[np.argsort(-height[cells], kind="stable")]


def _run(inside: NDArray[np.bool_], peak: int) -> slice:
    """The connected cells around ``peak`` that are inside."""
    (outside,) = np.nonzero(~inside)
    position = int(np.searchsorted(outside, peak))
    start = outside[position - 1] + 1 if position > 0 else 0
    return slice(int(start), int(outside[position]) if position < len(outside) else len(inside))


def _line(gap: Floats, sigma: Floats, wavelength: Floats, peak: int, cells: slice) -> Line:
    width = np.gradient(wavelength)[cells]
    area, weight = gap[cells] * width, np.abs(gap[cells]) * width
    return Line(
        wavelength=float(np.average(wavelength[cells], weights=weight)),
        depth=float(-gap[peak]),
        depth_error=float(sigma[peak]),
        equivalent_width=float(-1e3 * area.sum()),
        equivalent_width_error=float(1e3 * np.sqrt(((sigma[cells] * width) ** 2).sum())),
        significance=float(np.abs(gap[peak]) / sigma[peak]),
        start=float(wavelength[cells.start]),
        stop=float(wavelength[cells.stop - 1]),
    )


def attribute_lines(
    lines: Sequence[Line],
    gap: ArrayLike,
    sigma: ArrayLike,
    wavelength: ArrayLike,
    gradients: Mapping[str, ArrayLike],
    window: float = 1.0,
    cells_per_sample: float = 1.0,
    max_change: float = 2.0,
) -> list[AttributedLine]:
    r"""The element whose gradient explains each line best, with probabilities by BIC.

    Around each line the gap is regressed, with weights :math:`1/\sigma^2`, on ``a + b x`` alone, on
    ``a + b x + c ∂S/∂[X/Fe]`` for each element, and on ``a + b x`` plus a Gaussian of free height, centre
    and width. The first and the last together are the template ``none``: continuum, or a line that no
    gradient has. The noise is known up to a factor, so
    :math:`\mathrm{BIC} = n \ln(\chi^2/n) + k \ln n` and :math:`p \propto \pi \exp(-\mathrm{BIC}/2)`,
    with prior :math:`\pi` one half for ``none``, the rest shared by the elements.

    Args:
        lines: From :func:`strongest_lines`.
        gap: Gap in normalised flux, shape (L,).
        sigma: Its standard deviation up to a common factor, shape (L,).
        wavelength: Å, increasing, shape (L,).
        gradients: Gradient of the predicted flux to each element's abundance, per dex, shape (L,) each.
        window: Half width in Å of the region around a line's extent.
        cells_per_sample: Cells per independent sample; above 1 where a line spread correlates cells.
        max_change: Largest believable ``|c|`` in dex; an element that needs more has probability 0.

    Returns:
        The same lines, in order.
    """
    gap, sigma, wavelength = (np.asarray(a, np.float64) for a in (gap, sigma, wavelength))
    names, table = list(gradients), _gradient_table(gradients, len(gap))
    found = []
    for line in lines:
        near = (wavelength >= line.start - window) & (wavelength <= line.stop + window)
        near &= np.isfinite(gap) & np.isfinite(sigma) & (sigma > 0)
        x = (wavelength[near] - line.wavelength) / window
        templates = np.concatenate([table[:, near], _bumps(x, (line.stop - line.start) / window)])
        change, chi2 = _single_templates(gap[near], sigma[near], x, templates)
        samples = max(x.size / cells_per_sample, 1.0)
        smooth, elements, bump = chi2[0], chi2[1 : len(names) + 1], chi2[len(names) + 1 :].min()
        bic = _bic(np.concatenate([[smooth, bump], elements]), np.array([0, 3] + [1] * len(names)), samples)
        bic[2:][np.abs(change[: len(names)]) > max_change] = np.inf
        found.append(_attributed(line, names, change[: len(names)], bic))
    return found


def _gradient_table(gradients: Mapping[str, ArrayLike], cells: int) -> Floats:
    """Gradients as rows, shape (elements, L)."""
    rows = [np.asarray(gradient, np.float64) for gradient in gradients.values()]
    table = np.array(rows).reshape(len(rows), -1 if rows else cells)
    if table.shape[1] != cells:
        raise ValueError(f"gradients must have the gap's {cells} cells, got {table.shape[1]}")
    if not np.isfinite(table).all():
        raise ValueError("gradients must be finite; use 0 where an element's gradient is unknown")
    return table


def _bumps(x: Floats, extent: float) -> Floats:
    """Gaussians around x = 0 with the widths that a line of this extent can have, shape (T, n)."""
    scale = max(extent, 3.0 * float(np.diff(x).min()) if x.size > 1 else 1.0)
    centres = np.linspace(-0.2, 0.2, 9) * scale
    widths = scale * np.geomspace(0.08, 0.8, 12)
    return np.exp(-0.5 * ((x - centres[:, None, None]) / widths[None, :, None]) ** 2).reshape(-1, x.size)


def _single_templates(gap: Floats, sigma: Floats, x: Floats, templates: Floats) -> tuple[Floats, Floats]:
    """Amplitude of each template beside a straight line, and χ² without any and with each (Frisch-Waugh)."""
    smooth = np.linalg.qr(np.stack([np.ones_like(x), x], axis=1) / sigma[:, None])[0]

    def rest(rows: Floats) -> Floats:
        return np.asarray(rows - rows @ smooth @ smooth.T)

    y, g = rest(gap / sigma), rest(templates / sigma)
    power, overlap = (g**2).sum(axis=1), g @ y
    # A gradient that is smooth in the window leaves only rounding behind.
    useful = power > 1e-12 * ((templates / sigma) ** 2).sum(axis=1)
    change = np.divide(overlap, power, out=np.zeros_like(power), where=useful)
    return change, np.concatenate([[y @ y], y @ y - change * overlap])


def _bic(chi2: Floats, extra: NDArray[np.intp], samples: float) -> Floats:
    """BIC up to a constant, for models with ``extra`` parameters beside the straight line."""
    floor = np.finfo(float).eps * chi2[0] + np.finfo(float).tiny
    return np.asarray(samples * np.log(np.maximum(chi2, floor)) + extra * np.log(samples))


def _attributed(line: Line, names: list[str], change: Floats, bic: Floats) -> AttributedLine:
    """Probabilities from the BIC of: straight line, free Gaussian, each element."""
    none, *shares = _probabilities(bic, len(names))
    probability = dict(zip(names, shares, strict=True))
    first, second, *_ = [*sorted(names, key=lambda name: -probability[name]), NONE, NONE]
    return AttributedLine(
        **vars(line),
        element=first,
        probability=probability.get(first, 0.0),
        runner_up=second,
        change=dict(zip(names, change.tolist(), strict=True)).get(first, float("nan")),
        unexplained=none,
        probabilities={NONE: none, **probability},
        note=next((band for low, high, band in TELLURIC if low <= line.wavelength <= high), ""),
    )


def _probabilities(bic: Floats, elements: int) -> list[float]:
    """Of none, which straight line and Gaussian share, and of each element."""
    prior = np.array([0.25, 0.25] + [0.5 / max(elements, 1)] * elements)
    weight = prior * np.exp(-0.5 * (bic - bic.min()))
    weight = np.concatenate([[weight[0] + weight[1]], weight[2:]])
    return list((weight / weight.sum()).tolist())
