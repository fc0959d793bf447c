"""The element behind each line of a gap."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

from synth2obs.analysis.bands import FOREIGN, band_of, is_foreign
from synth2obs.analysis.lines import Line

Floats = NDArray[np.float64]

NONE = "none"
"""Name of the template in which no element explains a line."""

UNKNOWN = 0.5
"""Of lines that no gradient has, the share that is taken to be no element's before stars are asked."""


@dataclass(frozen=True, kw_only=True)
class AttributedLine(Line):
    """A line, and the element that explains it best.

    Args:
        element: Most probable element, however improbable; ``none`` if no element was compared. The name of the band
            where the line is probably the Earth's or the interstellar medium's.
        probability: Its probability among all templates; 0 if no element was compared.
        runner_up: The second most probable element; ``none`` if there is no other.
        change: Change of the element's abundance that would explain the line, in dex; NaN without an element.
        unexplained: Probability of ``none``: continuum, or a line that no gradient has.
        probabilities: Of every template, ``none`` included.
        changes: Change of every element's abundance that would explain it, in dex.
        note: The band of the Earth's atmosphere or of the interstellar medium, or the Balmer line, in which it lies,
            or nothing.
    """

    element: str
    probability: float
    runner_up: str
    change: float
    unexplained: float
    probabilities: Mapping[str, float]
    changes: Mapping[str, float]
    note: str

    @property
    def alternatives(self) -> str:
        """Other elements that are at least a twentieth probable, with their probabilities, the best first."""
        others = sorted(self.probabilities.items(), key=lambda item: -item[1])
        return ", ".join(
            f"{name} {p:.2f}" for name, p in others if p >= 0.05 and name not in (NONE, self.element)
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
    with prior :math:`\pi` one half for ``none`` (ten elevenths in a band of the Earth's atmosphere or of the
    interstellar medium), the rest shared by the elements.

    Args:
        lines: From `lines.strongest_lines`.
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
    none, *shares = _probabilities(bic, len(names), _foreign_odds(line.wavelength))
    changes = dict(zip(names, change.tolist(), strict=True))
    return _ranked(line, {NONE: none, **dict(zip(names, shares, strict=True))}, changes)


def _ranked(line: Line, probabilities: Mapping[str, float], changes: Mapping[str, float]) -> AttributedLine:
    """A line with its elements in the order of their probabilities."""
    names = sorted((name for name in probabilities if name != NONE), key=lambda name: -probabilities[name])
    first, second, *_ = [*names, NONE, NONE]
    unexplained, note = probabilities[NONE], band_of(line.wavelength)
    foreign = is_foreign(note) and unexplained > 0.5
    element, runner_up = (note, first) if foreign else (first, second)
    return AttributedLine(
        **{field.name: getattr(line, field.name) for field in fields(Line)},
        element=element,
        probability=unexplained if foreign else probabilities[first] * (first != NONE),
        runner_up=runner_up,
        change=changes.get(element, float("nan")),
        unexplained=unexplained,
        probabilities=probabilities,
        changes=changes,
        note=note,
    )


def _foreign_odds(wavelength: float) -> float:
    """Factor on the probability that a line is no element's."""
    return FOREIGN if is_foreign(band_of(wavelength)) else 1.0


def _probabilities(bic: Floats, elements: int, odds: float) -> list[float]:
    """Of none, which straight line and Gaussian share, and of each element."""
    prior = np.array([0.25 * odds, 0.25 * odds] + [0.5 / max(elements, 1)] * elements)
    weight = prior * np.exp(-0.5 * (bic - bic.min()))
    weight = np.concatenate([[weight[0] + weight[1]], weight[2:]])
    return list((weight / weight.sum()).tolist())


def followed_by_stars(
    lines: Sequence[AttributedLine],
    evidence: Sequence[Mapping[str, float]],
    shares: Sequence[Mapping[str, float]],
) -> list[AttributedLine]:
    r"""Lines attributed by their gradients, weighed with how they change from star to star.

    A line that no gradient has may still be an element's that theory lacks: of the probability of ``none``,
    `UNKNOWN` (more in a band of the Earth or of the interstellar medium) stays there and the rest is divided between
    elements as their shares :math:`\pi_X` say. Then

    .. math:: p'_X \propto E_X\,[\,p_X + (1 - \nu)\, p_0\, \pi_X\,] ,\qquad p'_0 \propto E_0\, \nu\, p_0 .

    Args:
        lines: From `attribute_lines`.
        evidence: ln E by element and ``none`` of every line, up to a constant, as `elements.element_evidence` gives it.
        shares: Prior probability of each element for a line that theory lacks, summing to 1; of every line.

    Returns:
        The same lines, in order. An element that was not compared stays out.
    """
    return [_followed(line, ln, own) for line, ln, own in zip(lines, evidence, shares, strict=True)]


def _followed(
    line: AttributedLine, evidence: Mapping[str, float], shares: Mapping[str, float]
) -> AttributedLine:
    none, odds = line.probabilities[NONE], _foreign_odds(line.wavelength) * UNKNOWN / (1.0 - UNKNOWN)
    unknown = odds / (1.0 + odds)
    prior = {
        name: none * unknown if name == NONE else p + none * (1.0 - unknown) * shares[name]
        for name, p in line.probabilities.items()
    }
    highest = max(evidence[name] for name in prior)
    weight = {name: p * float(np.exp(evidence[name] - highest)) for name, p in prior.items()}
    total = sum(weight.values())
    return _ranked(line, {name: each / total for name, each in weight.items()}, line.changes)
