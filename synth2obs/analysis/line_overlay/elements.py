"""What elements a line list has lines of at the wavelength of a line of the gap."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from synth2obs.analysis.elements import IRON
from synth2obs.analysis.line_overlay.listed import Listed, Strengths
from synth2obs.analysis.lines import Line

Floats = NDArray[np.float64]

UNLISTED = 0.3
"""Share of the prior that does not ask the list: it may lack the line."""

POWER = 0.5
"""Of the strength: a line of the list is in error the more visibly the stronger it is, but weak ones err more."""


def listed_shares(
    lines: Sequence[Line], listed: Listed, shares: Mapping[str, float], sigma: float, teff: float
) -> list[dict[str, float]]:
    r"""Prior probability of each element for lines of a gap, given a line list.

    .. math:: \pi_X \propto (1 - \nu) \Big(\sum_{i \in X} s_i\, p(\lambda - \lambda_i)\Big)^{1/2} + \nu\, \pi^0_X

    with the first term normalised over elements. An element whose molecules have lines there keeps at least its
    general share in it, since strengths of molecules cannot be compared with those of atoms.

    Args:
        lines: Of the gap.
        listed: The list.
        shares: Prior of each element that does not ask where a line lies, from `elements.shares`.
        sigma: Of a line's profile p, Å.
        teff: K, at which strengths are compared.

    Returns:
        For every line, by the elements of ``shares``; an element that is not among them counts as iron.
    """
    centres = np.concatenate([each.vacuum for each in listed.transitions] or [np.zeros(0)])
    strengths = Strengths.of(listed.transitions).at(teff)
    names = [_owner(each.species.element, shares) for each in listed.transitions for _ in each.vacuum]
    order = np.argsort(centres)
    centres, strengths, owners = centres[order], strengths[order], np.array(names, dtype=object)[order]
    found = []
    for line in lines:
        first, last = np.searchsorted(centres, [line.wavelength - 4.0 * sigma, line.wavelength + 4.0 * sigma])
        profile = np.exp(-0.5 * ((centres[first:last] - line.wavelength) / sigma) ** 2)
        moved = dict.fromkeys(shares, 0.0)
        for owner, strength in zip(owners[first:last], profile * strengths[first:last], strict=True):
            moved[owner] += float(strength)
        found.append(_mixed(moved, _molecular(line, listed, sigma), shares))
    return found


def _owner(element: str, shares: Mapping[str, float]) -> str:
    return element if element in shares else IRON


def _molecular(line: Line, listed: Listed, sigma: float) -> set[str]:
    """Elements whose molecules have lines in a line of the gap."""
    return {
        element
        for element, wavelengths in listed.molecules.items()
        if np.diff(np.searchsorted(wavelengths, [line.wavelength - sigma, line.wavelength + sigma]))[0] > 0
    }


def _mixed(moved: Mapping[str, float], molecular: set[str], shares: Mapping[str, float]) -> dict[str, float]:
    root = {name: value**POWER for name, value in moved.items()}
    total = sum(root.values())
    own = {name: value / total if total > 0 else shares[name] for name, value in root.items()}
    own = {name: max(value, shares[name]) if name in molecular else value for name, value in own.items()}
    total = sum(own.values())
    return {name: (1.0 - UNLISTED) * value / total + UNLISTED * shares[name] for name, value in own.items()}
