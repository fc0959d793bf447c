"""The library's emulator on stars of a population, five-fold: `python experiments/04_emulators/population.py GRID`."""

import argparse
from dataclasses import replace

import torch
from data import NOISE, Data, load
from processes import process_on_latents
from torch import Tensor

from synth2obs.core.constants import FWHM_PER_SIGMA
from synth2obs.models.decoder.encode import encode_flux
from synth2obs.models.decoder.from_grid import pca_residual
from synth2obs.models.theory_error import TheoryError
from synth2obs.physics.lsf import broaden

FOLDS = 5
COOL, WARM = 4800.0, 5200.0
RESOLVING_POWERS = (6000.0, 1800.0)
REGIONS = (4200.0, 4500.0, 5000.0, 5500.0, 6200.0, 7400.0)
MG_B = (5167.0, 5184.0)
HIGHEST = 1.02
CARBON_RICH = 0.95
"""C/O beyond which a cool star is a carbon star."""
SOLAR_CO = 10.0 ** (8.39 - 8.66)


def folds(data: Data):
    """Spectra without gradients in five parts; every fold leaves out a point with gradients too."""
    points = data.pairs.point.unique()
    order = torch.randperm(len(data.x), generator=torch.Generator().manual_seed(1))
    for number, test in enumerate(order[~torch.isin(order, points)].chunk(FOLDS)):
        point = points[number % len(points)]
        kept = torch.ones(len(data.x), dtype=torch.bool)
        kept[test] = kept[point] = False
        seen = (data.pairs.point != point).nonzero()[:, 0]
        unseen = data.pairs.take((data.pairs.point == point).nonzero()[:, 0])
        yield replace(data, train=kept.nonzero()[:, 0], test=test, pairs=data.pairs.take(seen)), unseen


@torch.no_grad()
def measured(part: Data, unseen, mg: int) -> dict[str, Tensor]:
    """Of one fold: errors, what decoder and components leave, errors of gradients, pulls, extremes, Mg b."""
    with torch.enable_grad():
        decoder, emulator = process_on_latents(part)

    def predict(x: Tensor) -> Tensor:
        return torch.cat([decoder(emulator(some).float()).double() for some in x.split(64)])

    flux, x = part.flux[part.test], part.x[part.test]
    latent = encode_flux(decoder, flux.float())
    loud = unseen.change.square().mean(1).sqrt() > NOISE
    moved = predict(unseen.upper) - predict(unseen.lower) - unseen.change
    return {
        "error": predict(x) - flux,
        "decoder": decoder(latent) - flux,
        "pca": pca_residual(part.flux[part.train].float(), flux.float(), 32),
        "gradient": (moved.norm(dim=1) / unseen.change.norm(dim=1))[loud],
        "pull": _pulls(decoder, emulator, x, flux.float(), latent),
        "extremes": torch.stack([predict(x).amin(1), predict(x).amax(1)], dim=1),
        "mg": _rise(predict, x, part, mg),
    }


def _pulls(decoder, emulator, x: Tensor, flux: Tensor, latent: Tensor) -> Tensor:
    """Error over quoted error, calibrated on one half of the held-out spectra and measured on the other."""
    pulls, halves = torch.empty_like(flux), (slice(0, None, 2), slice(1, None, 2))
    for own, other in (halves, halves[::-1]):
        error = TheoryError(flux.shape[1])
        error.calibrate(decoder, emulator, x[other], flux[other], latent[other])
        parts = zip(x[own].split(16), flux[own].split(16), strict=True)
        pulls[own] = torch.cat(
            [
                (decoder(emulator(at).float()) - seen) / error.variance(decoder, emulator, at).sqrt()
                for at, seen in parts
            ]
        )
    return pulls


def _rise(predict, x: Tensor, part: Data, mg: int) -> Tensor:
    """Largest rise of the mean flux of Mg b between steps of more Mg, over the population's range; (B,)."""
    band = (part.wavelength > MG_B[0]) & (part.wavelength < MG_B[1])
    means = []
    for value in torch.linspace(float(part.x[:, mg].min()), float(part.x[:, mg].max()), 7).tolist():
        at = x.clone()
        at[:, mg] = value
        means.append(predict(at)[:, band].mean(1))
    return torch.stack(means, dim=1).diff(dim=1).amax(1)


def smoothed(error: Tensor, data: Data, power: float) -> Tensor:
    """At a lower resolving power."""
    if power >= RESOLVING_POWERS[0]:
        return error
    step = float((data.wavelength[1] / data.wavelength[0]).log())
    own = data.sigma / data.wavelength
    extra = ((1.0 / (FWHM_PER_SIGMA * power)) ** 2 - own.square()).sqrt()
    return torch.cat([broaden(part, step, extra) for part in error.split(16)])


def report(data: Data, found: dict[str, Tensor], teff: Tensor, odd: Tensor) -> None:
    kinds = {"all": teff > 0, "not C-rich": ~odd, f"> {WARM:.0f} K": teff > WARM}
    kinds |= {f"< {COOL:.0f} K, not C-rich": (teff < COOL) & ~odd}
    for power in RESOLVING_POWERS:
        error = smoothed(found["error"], data, power)
        rms = {name: 100 * error[rows].square().mean().sqrt().item() for name, rows in kinds.items()}
        print(
            f"R = {power:.0f}: median {100 * error.abs().median():.4f} %, rms",
            {k: round(v, 3) for k, v in rms.items()},
        )
    left = {name: 100 * found[name][~odd].square().mean().sqrt().item() for name in ("decoder", "pca")}
    print(f"decoder {left['decoder']:.3f} %, 32 components {left['pca']:.3f} % (not C-rich)")
    print(f"gradients: {100 * found['gradient'].median():.1f} %")
    for name, rows in kinds.items():
        pulls = [
            found["pull"][rows][:, (data.wavelength >= a) & (data.wavelength < b)]
            .square()
            .mean()
            .sqrt()
            .item()
            for a, b in zip(REGIONS, REGIONS[1:], strict=False)
        ]
        print(f"pulls of {name} by region:", [round(value, 2) for value in pulls])
    low, high = found["extremes"].unbind(1)
    print(f"flux < 0 in {(low < 0).sum()} of {len(low)} stars (least {low.min():.3f})", end="; ")
    print(f"> {HIGHEST} in {(high > HIGHEST).sum()} (most {high.max():.3f})")
    print(f"Mg b fills with more Mg in {(found['mg'] > 0).sum()} stars; by {found['mg'].max():.4f} at most")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("grid", help="shard of a grid with gradients at several points")
    parser.add_argument("--start", type=float, default=4200.0)
    parser.add_argument("--stop", type=float, default=7350.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data, parts, rows = load(options.grid, options.start, options.stop), [], []
    names = data.space.names
    for part, unseen in folds(data):
        parts.append(measured(part, unseen, names.index("mg_fe")))
        rows.append(part.test)
    found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    labels = data.scale.inverse(data.x[torch.cat(rows)])
    teff, c_fe, o_fe = (labels[:, names.index(name)] for name in ("teff", "c_fe", "o_fe"))
    odd = (SOLAR_CO * 10.0 ** (c_fe - o_fe) > CARBON_RICH) & (teff < 5000.0)
    report(data, found, teff, odd)


if __name__ == "__main__":
    main()
