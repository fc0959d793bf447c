"""Networks from labels to flux, taught for a given processor time."""

import math
import time

import torch
from data import Data
from torch import Tensor, nn

BATCH, WAVES = 64, 512
GRADIENTS = 16
"""Gradient spectra in a step."""


class Payne(nn.Module):
    """Two hidden layers to all pixels (Ting et al. 2019, ApJ 879, 69)."""

    rate = 1e-3

    def __init__(self, labels: int, data: Data, hidden: int = 300) -> None:
        super().__init__()
        flux = data.flux[data.train].float()
        self.body = nn.Sequential(
            nn.Linear(labels, hidden), nn.LeakyReLU(0.01), nn.Linear(hidden, hidden), nn.LeakyReLU(0.01)
        )
        self.out = nn.Linear(hidden, flux.shape[1])
        nn.init.normal_(self.out.weight, std=1e-3)
        self.out.bias.data.copy_(flux.mean(0))

    def forward(self, x: Tensor, places: Tensor | None = None) -> Tensor:
        weight, bias = self.out.weight, self.out.bias
        if places is not None:
            weight, bias = weight[places], bias[places]
        return nn.functional.linear(self.body(x), weight, bias)


class TrunkBranch(nn.Module):
    """A trunk of singular vectors, and a network with a linear path as branch."""

    rate = 3e-3

    def __init__(self, labels: int, data: Data, rank: int = 200, hidden: int = 256) -> None:
        super().__init__()
        flux = data.flux[data.train].float()
        self.mean = nn.Parameter(flux.mean(0))
        _, scale, vectors = torch.linalg.svd(flux - flux.mean(0), full_matrices=False)
        self.trunk = nn.Parameter((vectors[:rank] * scale[:rank, None] / math.sqrt(len(flux))).T.contiguous())
        size = self.trunk.shape[1]
        self.linear = nn.Linear(labels, size)
        self.body = nn.Sequential(
            nn.Linear(labels, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, size),
        )

    def forward(self, x: Tensor, places: Tensor | None = None) -> Tensor:
        trunk, mean = (self.trunk, self.mean) if places is None else (self.trunk[places], self.mean[places])
        return mean + (self.linear(x) + self.body(x)) @ trunk.T


class Attention(nn.Module):
    """Attention over label tokens; wavelengths, in Fourier features, query what comes of them."""

    rate = 1e-3

    def __init__(self, labels: int, data: Data, width: int = 64, layers: int = 2, waves: int = 64) -> None:
        super().__init__()
        log_wave = data.wavelength.log()
        place = (log_wave - log_wave[0]) / (log_wave[-1] - log_wave[0])
        octaves = 2.0 ** torch.linspace(0, math.log2(len(place) / 2), waves, dtype=torch.float64)
        phase = math.pi * place[:, None] * octaves
        self.register_buffer("code", torch.cat([phase.sin(), phase.cos()], dim=1).float())
        self.name = nn.Parameter(0.3 * torch.randn(labels, width))
        self.value = nn.Parameter(0.3 * torch.randn(labels, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.query = nn.Sequential(nn.Linear(2 * waves, width), nn.SiLU(), nn.Linear(width, width))
        self.cross = nn.MultiheadAttention(width, 4, batch_first=True)
        self.out = nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, 1))
        self.mean = nn.Parameter(data.flux[data.train].float().mean(0))

    def forward(self, x: Tensor, places: Tensor | None = None) -> Tensor:
        code, mean = (self.code, self.mean) if places is None else (self.code[places], self.mean[places])
        tokens = self.encoder(self.name + x[..., None] * self.value)
        query = self.query(code).expand(len(x), -1, -1)
        seen = query + self.cross(query, tokens, tokens, need_weights=False)[0]
        return mean + self.out(seen)[..., 0]


def taught(kind: type[nn.Module]):
    """Mean squared error of flux, and of changes of flux between the ends of gradient spectra."""

    def train(data: Data, budget: float):
        torch.manual_seed(0)
        start = time.process_time()
        net = kind(data.x.shape[1], data)
        optimizer = torch.optim.AdamW(net.parameters(), lr=net.rate, weight_decay=1e-4)
        x, flux = data.x[data.train].float(), data.flux[data.train].float()
        while (spent := (time.process_time() - start) / budget) < 1.0:
            optimizer.param_groups[0]["lr"] = net.rate * 0.5 * (1.0 + math.cos(math.pi * spent))
            rows = torch.randint(len(x), (BATCH,))
            places = torch.randint(flux.shape[1], (WAVES,)) if kind is Attention else None
            loss = (net(x[rows], places) - _at(flux[rows], places)).square().mean()
            if data.pairs is not None:
                loss = loss + _differences(net, data, places)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
        net.eval()
        with torch.no_grad():
            return lambda x: torch.cat([net(part.float()).double() for part in x.split(16)]).detach()

    return train


def _differences(net: nn.Module, data: Data, places: Tensor | None) -> Tensor:
    rows = torch.randint(len(data.pairs.upper), (GRADIENTS,))
    ends = torch.cat([data.pairs.upper[rows], data.pairs.lower[rows]]).float()
    upper, lower = net(ends, places).chunk(2)
    return (upper - lower - _at(data.pairs.change[rows].float(), places)).square().mean()


def _at(flux: Tensor, places: Tensor | None) -> Tensor:
    return flux if places is None else flux[:, places]
