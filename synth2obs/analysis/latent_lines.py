r"""Which latent moves which lines, and which labels it follows.

A latent is a coordinate that nobody named. Here it is described from three sides: the change of theory's flux with it,
:math:`\partial S/\partial u_d` at u = 0, whose extrema are named after the element whose abundance moves the flux most
there; its correlations with the labels of the grid's spectra; and the partial R² between it and each [X/Fe] at fixed
Teff, log g and [Fe/H],

.. math:: R^2_{dX} = \mathrm{corr}(u_d - \hat u_d, [X/\mathrm{Fe}] - \widehat{[X/\mathrm{Fe}]})^2 ,

where hats are linear regressions on all polynomials of second degree in these three. Elements that go together in the
grid's population (those of the α process) share what latents say of them: it is no measure of one element alone.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from synth2obs.analysis.per_star import whole
from synth2obs.analysis.star_lines import abundance_labels
from synth2obs.analysis.survey_gap import STEP
from synth2obs.core.constants import BALMER
from synth2obs.core.labels import STELLAR
from synth2obs.core.shown import Shown, Summary
from synth2obs.io.tables import as_table
from synth2obs.models.bridge import Bridge
from synth2obs.models.decoder.decoder import Decoder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

LINES = 5
"""Of each latent, unless others are wanted."""

APART = 5.0
"""Å between two of them."""

BALMER_WIDTH = 10.0
"""Å from a Balmer line's centre in which a response is called after it."""

BALMER_NAMES = ("Hε", "Hδ", "Hγ", "Hβ", "Hα")


@dataclass(frozen=True)
class Response:
    """A line that a latent moves.

    Args:
        wavelength: Vacuum Å.
        change: Of the flux per unit of the latent, in units of the continuum.
        name: Element whose abundance moves the flux most there, Balmer line, or empty.
    """

    wavelength: float
    change: float
    name: str


@dataclass(frozen=True, repr=False)
class LatentLines(Shown):
    """What each of D latents is about. L rest wavelengths, K labels, E elements.

    Args:
        wavelength: Vacuum Å, shape (L,).
        response: ∂flux/∂latent at 0, shape (D, L).
        lines: Strongest lines of every latent, strongest first.
        labels: Names of the grid's labels.
        correlation: Of latents with labels over the grid, shape (D, K).
        elements: Symbols.
        partial_r2: Of latents with [X/Fe] at fixed Teff, log g and [Fe/H], shape (D, E).
        element_r2: Of each [X/Fe] with all latents together, likewise, shape (E,): how well latents hold it.
    """

    wavelength: Floats
    response: Floats
    lines: tuple[tuple[Response, ...], ...]
    labels: tuple[str, ...]
    correlation: Floats
    elements: tuple[str, ...]
    partial_r2: Floats
    element_r2: Floats

    def summary(self) -> Summary:
        """What is shown of it: the five latents that move flux most."""
        size = np.sqrt(np.mean(self.response**2, axis=1))
        rows = {
            f"latent {d}": f"{self._labels(d)}; {self._elements(d)}; {self._lines(d)}"
            for d in np.argsort(-size)[:5].tolist()
        }
        best = np.argsort(-self.element_r2)[:6]
        rows["held best"] = ", ".join(f"{self.elements[e]} {self.element_r2[e]:.2f}" for e in best)
        title = f"{len(self.response)} latents: labels (correlation), elements (partial R²), lines (Å)"
        return Summary(title, rows, ".table(), .plot(latent)")

    def table(self) -> Any:
        """An `astropy.table.Table`, a row a latent: its size, its labels, elements and lines in words."""
        rows = range(len(self.response))
        columns = {
            "latent": np.arange(len(rows)),
            "response": np.sqrt(np.mean(self.response**2, axis=1)),
            "labels": np.array([self._labels(d) for d in rows]),
            "elements": np.array([self._elements(d) for d in rows]),
            "lines": np.array([self._lines(d) for d in rows]),
        }
        return as_table(
            columns, {}, medium="vacuum", response="rms of ∂flux/∂latent, in units of the continuum"
        )

    def plot(self, latent: int = 0) -> "Figure":
        """The response of one latent with its strongest lines, and its correlations and partial R².

        Raises:
            DataError: For a latent that is not there.
        """
        from synth2obs.analysis.plots import plot_latent

        return plot_latent(self, latent)

    def _labels(self, latent: int) -> str:
        row = self.correlation[latent]
        return ", ".join(f"{self.labels[k]} {row[k]:+.2f}" for k in np.argsort(-np.abs(row))[:3])

    def _elements(self, latent: int) -> str:
        row = self.partial_r2[latent]
        return ", ".join(f"{self.elements[e]} {row[e]:.2f}" for e in np.argsort(-row)[:3])

    def _lines(self, latent: int) -> str:
        return ", ".join(f"{line.wavelength:.1f} {line.name}".strip() for line in self.lines[latent])


@torch.no_grad()
def latent_lines(bridge: Bridge, lines: int = LINES, survey: str | None = None) -> LatentLines:
    """What each of a bridge's latents is about.

    Args:
        bridge: Trained.
        lines: Of each latent.
        survey: Whose rest grid; None: the first layer's.

    Raises:
        DataError: If ``lines`` is no whole number of at least 0.
    """
    lines = whole("lines", lines, 0)
    known = bridge.emulator.known
    latents, values = bridge.emulator(known).numpy(), bridge.scale.inverse(known).numpy()
    columns = abundance_labels(bridge)
    stellar = values[:, [bridge.labels.index(name) for name in STELLAR]]
    left, left_abundance = (
        unexplained(table, stellar) for table in (latents, values[:, list(columns.values())])
    )
    decoder = bridge.decoder if survey is None else bridge.decoder_of(survey)
    response, grid = _response(decoder), np.asarray(decoder.rest_wavelength.numpy())
    names = _named(bridge, survey, grid, columns)
    return LatentLines(
        wavelength=grid,
        response=response,
        lines=tuple(_strongest(row, grid, names, lines) for row in response),
        labels=tuple(bridge.labels.names),
        correlation=correlations(latents, values),
        elements=tuple(columns),
        partial_r2=correlations(left, left_abundance) ** 2,
        element_r2=_joint(left, left_abundance),
    )


def _response(decoder: Decoder) -> Floats:
    """∂flux/∂u at 0, shape (D, L)."""
    slope = decoder.weights_jacobian(torch.zeros(1, decoder.latent, dtype=torch.float64))[0]
    return np.asarray((decoder.trunk.table().double() @ slope.double()).T.numpy())


def unexplained(table: Floats, of: Floats) -> Floats:
    """What is left of columns (N, M) after a regression on all polynomials of second degree in columns (N, 3)."""
    x = (of - of.mean(0)) / of.std(0)
    rows, columns = np.triu_indices(x.shape[1])
    design = np.concatenate([np.ones((len(x), 1)), x, x[:, rows] * x[:, columns]], axis=1)
    return np.asarray(table - design @ np.linalg.lstsq(design, table, rcond=None)[0])


def correlations(first: Floats, second: Floats) -> Floats:
    """Of columns (N, D) with columns (N, K), shape (D, K); 0 where one does not vary."""
    a, b = (table - table.mean(0) for table in (first, second))
    norm = np.linalg.norm(a, axis=0)[:, None] * np.linalg.norm(b, axis=0)
    return np.asarray(np.divide(a.T @ b, norm, out=np.zeros_like(norm), where=norm > 0))


def _joint(latents: Floats, abundances: Floats) -> Floats:
    """R² of each abundance with all latents, adjusted for their number."""
    left = abundances - latents @ np.linalg.lstsq(latents, abundances, rcond=None)[0]
    stars, size = latents.shape
    freedom = (stars - 1) / max(stars - size - 1, 1)
    total = np.square(abundances).sum(0)
    share = np.divide(np.square(left).sum(0), total, out=np.ones_like(total), where=total > 0)
    return np.clip(1.0 - freedom * share, 0.0, 1.0)


def _named(bridge: Bridge, survey: str | None, grid: Floats, columns: dict[str, int]) -> NDArray[np.str_]:
    """For every rest wavelength the element whose abundance moves the flux of the default star most, shape (L,)."""
    unit = np.eye(len(bridge.labels))
    whole = {**columns, "Fe": bridge.labels.index("fe_h")}
    own = {name: unit[column] for name, column in whole.items()}
    # A dex of [Fe/H] at fixed [X/Fe] moves every element; iron's own part is what is left of it.
    own["Fe"] = own["Fe"] - sum(own[name] for name in columns)
    table = np.stack(
        [bridge.labels.default + sign * STEP * row for row in own.values() for sign in (1.0, -1.0)]
    )
    flux = bridge.rest_flux(table, survey).numpy()
    moved = np.abs(flux[::2] - flux[1::2])
    names = np.array(list(own))[moved.argmax(0)].astype("U16")
    for centre, name in zip(BALMER, BALMER_NAMES, strict=True):
        names[np.abs(grid - centre) < BALMER_WIDTH] = name
    return names


def _strongest(row: Floats, grid: Floats, names: NDArray[np.str_], count: int) -> tuple[Response, ...]:
    """The largest local extrema, `APART` from each other."""
    height = np.abs(row)
    inner = (height[1:-1] >= height[:-2]) & (height[1:-1] > height[2:])
    order = 1 + np.nonzero(inner)[0]
    found: list[int] = []
    for cell in order[np.argsort(-height[order])]:
        if len(found) == count:
            break
        if all(abs(grid[cell] - grid[other]) >= APART for other in found):
            found.append(int(cell))
    return tuple(Response(float(grid[c]), float(row[c]), str(names[c])) for c in found)
