"""What a shift of labels does to the residuals of a survey's stars, on the rest grid."""

import math

import torch
from torch import Tensor

from synth2obs.models.bridge import Bridge
from synth2obs.models.contracts import LabelSlopes
from synth2obs.models.fit.observation import BATCH, Observation
from synth2obs.models.fit.result import LabelFit
from synth2obs.models.survey import SHIFTED
from synth2obs.physics.continuum import chebyshev_basis

RIDGE = 1e-6
"""Of the continuum, as a share of the weight of all cells."""


def shifted_columns(bridge: Bridge) -> dict[str, int]:
    """Place of the labels whose shift is sought among a grid's labels."""
    return {name: bridge.labels.index(name) for name in SHIFTED if name in bridge.labels.names}


def shift_widths(bridge: Bridge) -> Tensor:
    """Widths of the prior of a shift, in scaled labels, shape (J,)."""
    columns = shifted_columns(bridge)
    slope = bridge.scale.slope(torch.zeros(len(bridge.labels), dtype=torch.float64))
    units = torch.tensor([SHIFTED[name] for name in columns], dtype=torch.float64)
    return units / slope[list(columns.values())].abs()


@torch.no_grad()
def label_slopes(
    bridge: Bridge, seen: Observation, fit: LabelFit, ivar: Tensor, chosen: Tensor
) -> LabelSlopes:
    """Changes of theory, as the survey sees it, with the labels that a shift may move, less what the continuum follows.

    Args:
        bridge: Trained, but for the gap.
        seen: N stars.
        fit: Their fit.
        ivar: Of their cells, shape (N, L); 0 where masked.
        chosen: Stars that are wanted, shape (N,), bool.
    """
    columns, widths = list(shifted_columns(bridge).values()), shift_widths(bridge)
    place, share, segment = _cells_among_pixels(bridge, seen.survey)
    model, decoder = bridge.survey(seen.survey), bridge.decoder_of(seen.survey)
    basis = chebyshev_basis(decoder.rest_wavelength, segment, model.config.continuum.order)
    parts = []
    for rows in chosen.nonzero()[:, 0].split(BATCH):
        whole = bridge.from_labels(seen.survey, fit.x[rows])
        theory = model.layout(decoder).without_gap
        slope = theory(whole.jacobian)[:, :, columns] * widths
        both = torch.cat([theory(whole.value)[None], slope.permute(2, 0, 1)]).flatten(0, 1)
        native = bridge.native.flux(both, seen.survey, torch.zeros(len(both), dtype=torch.float64))
        flux = torch.from_numpy(native).nan_to_num(0.0)
        rest = (1.0 - share) * flux[:, place - 1] + share * flux[:, place]
        spectrum, *change = rest.unflatten(0, (1 + len(columns), len(rows)))
        parts.append(_without_continuum(torch.stack(change), spectrum, basis, ivar[rows]))
    step = float(decoder.rest_wavelength.log().diff().median())
    samples = 2.0 * math.sqrt(math.pi) * seen.width * float(model.width_scale) / step
    return LabelSlopes(torch.cat(parts, dim=1), max(samples, 1.0))


def _cells_among_pixels(bridge: Bridge, survey: str) -> tuple[Tensor, Tensor, Tensor]:
    """Of every cell: the usual pixel to its right, its place between the two neighbours, and its detector."""
    model, cells = bridge.survey(survey), bridge.decoder_of(survey).rest_wavelength
    order = torch.argsort(model.true_wavelength)
    pixels, segment = model.true_wavelength[order], model.segment[order]
    right = torch.searchsorted(pixels, cells).clamp(1, len(pixels) - 1)
    share = ((cells - pixels[right - 1]) / (pixels[right] - pixels[right - 1])).clamp(0.0, 1.0)
    return right, share.float(), segment[right]


def _without_continuum(change: Tensor, spectrum: Tensor, basis: Tensor, ivar: Tensor) -> Tensor:
    """Changes (J, n, L) less the continuum's change that follows them best, which acts on the spectrum (n, L)."""
    columns = basis.float() * spectrum[..., None]
    weighted = columns * ivar[..., None]
    normal = (weighted.mT @ columns).double()
    total = ivar.sum(1).double().clamp(min=1e-30)[:, None, None]
    normal = normal + RIDGE * total * torch.eye(basis.shape[1], dtype=torch.float64)
    pulled = (weighted.mT @ change.permute(1, 2, 0).to(weighted)).double()
    follows = torch.linalg.solve(normal, pulled).float()
    return change - (columns @ follows).permute(2, 0, 1)
