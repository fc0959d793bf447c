"""The section that says what each latent is about: lines, labels and elements."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.reports.assets import base64_of
from synth2obs.reports.checks import Arrays
from synth2obs.reports.content import Block, Cell, Embedded, PageTable, Paragraph, fixed
from synth2obs.reports.material import Material
from synth2obs.reports.results import has
from synth2obs.reports.templating import template

NEEDED = ("latent_wavelength", "latent_response", "latent_correlation")
HELD = 3
"""Labels and elements that are named for each latent."""

LEAD = (
    "A latent is a coordinate that nobody named. Each is described from three sides: which lines of theory's flux it "
    "moves, with which labels it runs over the grid's spectra, and how much of each [X/Fe] it holds at fixed Teff, "
    "log g and [Fe/H] (partial R²). Elements that go together in the grid's population share what latents say of them."
)
RESPONSE = (
    "Change of theory's flux per unit of the latent, at the middle of the grid; dots are its strongest lines, named "
    "after the element whose abundance moves the flux most there, or after a Balmer line. Of every few pixels the "
    "largest change is drawn. Look for latents of one element, and for those that move everything: Teff, log g, [Fe/H]."
)
HEAT = (
    "Partial R² of every latent with every [X/Fe]: dark is a latent that holds the element. The last row is all "
    "latents together: an element that is pale there cannot be told from these spectra."
)
CAPTION = (
    "Response is the rms over wavelengths, in units of the continuum; labels with their correlations, elements with "
    "their partial R², lines in vacuum Å, strongest first. Latents that move flux most stand first."
)


def meaning(m: Material) -> list[Block]:
    """Responses to choose from, the heat map of partial R², and a row of words a latent."""
    if not has(m.arrays, *NEEDED):
        return [m.missing("latents", "What the latents mean", "the evaluation is of an earlier version")]
    words = [_words(m.arrays, latent) for latent in range(len(m.arrays["latent_response"]))]
    first = int(np.argmax(_sizes(m.arrays)))
    choice = template("latents.html").render(words=words, first=first, caption=RESPONSE)
    blocks: list[Block] = [Paragraph(LEAD), Embedded(choice)]
    if "latent_elements" in m.pictures:
        blocks.append(m.picture("latent_elements", "Which latent holds which element", HEAT))
    return [*blocks, _table(m.arrays)]


def latent_data(arrays: Arrays) -> dict[str, Any] | None:
    """What the page's script draws: responses as 16-bit integers with a unit each, lines and words."""
    if not has(arrays, *NEEDED):
        return None
    response = np.nan_to_num(arrays["latent_response"].astype(float))
    units = np.maximum(np.abs(response).max(axis=1), 1e-12) / 32767
    return {
        "wavelength": base64_of(arrays["latent_wavelength"], "<f4"),
        "response": [
            base64_of(np.round(row / unit), "<i2") for row, unit in zip(response, units, strict=True)
        ],
        "units": [float(f"{unit:.6g}") for unit in units],
        "lines": [_lines(arrays, latent) for latent in range(len(response))],
        "words": [_words(arrays, latent) for latent in range(len(response))],
    }


def _table(arrays: Arrays) -> PageTable:
    size = _sizes(arrays)
    rows = [
        [
            Cell(f"latent {latent}"),
            Cell(fixed(float(size[latent]), 4)),
            Cell(_labels(arrays, latent)),
            Cell(_elements(arrays, latent)),
            Cell(_named_lines(arrays, latent)),
        ]
        for latent in np.argsort(-size, kind="stable")
    ]
    return PageTable(["latent", "response", "labels", "elements", "lines"], rows, CAPTION, words=(2, 3, 4))


def _sizes(arrays: Arrays) -> NDArray[np.float64]:
    """Rms of every response over wavelengths, shape (D,)."""
    response = np.nan_to_num(arrays["latent_response"].astype(float))
    return np.asarray(np.sqrt(np.mean(np.square(response), axis=1)))


def _words(arrays: Arrays, latent: int) -> str:
    parts = {
        "labels": _labels(arrays, latent),
        "elements": _elements(arrays, latent),
        "lines": _named_lines(arrays, latent),
    }
    return "; ".join(f"{what} {text}" for what, text in parts.items() if text) + "."


def _labels(arrays: Arrays, latent: int) -> str:
    row = arrays["latent_correlation"][latent]
    return ", ".join(
        f"{arrays['latent_labels'][k]} {fixed(float(row[k]), sign=True)}" for k in _largest(np.abs(row))
    )


def _elements(arrays: Arrays, latent: int) -> str:
    if not has(arrays, "latent_r2"):
        return ""
    row = arrays["latent_r2"][latent]
    return ", ".join(f"{arrays['latent_elements'][k]} {fixed(float(row[k]))}" for k in _largest(row))


def _largest(values: NDArray[Any]) -> list[int]:
    order = np.argsort(-np.nan_to_num(values), kind="stable")[:HELD]
    return [int(k) for k in order]


def _named_lines(arrays: Arrays, latent: int) -> str:
    return ", ".join(f"{at:.0f} {name}".strip() for at, _, name in _lines(arrays, latent))


def _lines(arrays: Arrays, latent: int) -> list[tuple[float, float, str]]:
    """Wavelength, change and name of the strongest lines."""
    if not has(arrays, "latent_line_wavelength", "latent_line_change"):
        return []
    columns = (arrays[f"latent_line_{name}"][latent] for name in ("wavelength", "change", "name"))
    found = zip(*columns, strict=True)
    return [
        (round(float(at), 2), float(f"{change:.4g}"), str(name)) for at, change, name in found if at == at
    ]
