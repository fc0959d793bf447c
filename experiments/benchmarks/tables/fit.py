"""Spectra to labels: stars per second at equal χ², against The Payne's way to fit."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from benchmarks import ours
from benchmarks.observed import Observed, prepare
from benchmarks.peers import quiet
from benchmarks.peers.curve_fit import Found, OurModel, fit_star, payne_model
from benchmarks.peers.payne import PIXELS, random_payne
from benchmarks.report import Column, Table
from benchmarks.scenes import Array, make_scene
from benchmarks.tables import Setting, seconds, threads_limited
from benchmarks.timing import Timing, timed
from benchmarks.worlds import LOWER, QUICK, SURVEY, UPPER, Size, World, make_world
from synth2obs.physics import chebyshev_basis, profile_continuum

STARS, PEER_STARS = 64, 8
QUICK_STARS, QUICK_PEER_STARS = 4, 1
QUICK_PIXELS = 400
Row = dict[str, Any]
REBUILT = "re-implementation, random weights"

NOTE = (
    "Stars at S/N 100 with labels anywhere in the middle 80 % of the grid and velocities of up to ±10 km/s. χ² per "
    "pixel is that of the found labels and velocity in the exact model (closed form), continuum at its best, for ours "
    "and for curve_fit over our model alike; Δχ²: largest difference from ours per pixel over the stars both fitted, "
    "positive where the peer is worse; label error: median, as a share of the grid's range."
)
COLUMNS = (
    Column("method", "method"),
    Column("threads", "threads", "number"),
    Column("stars", "stars", "number"),
    Column("rate", "stars/s", "rate"),
    Column("chi2_median", "χ²/px median", "number"),
    Column("chi2_max", "max", "number"),
    Column("chi2_over_ours", "Δχ²/px max", "error"),
    Column("chi2_under_ours", "min", "error"),
    Column("label_error", "label error", "error"),
    Column("evaluations", "evaluations", "number"),
    Column("ours_over", "ours ×", "ratio"),
    Column("note", "what"),
)


def measure(setting: Setting) -> Table:
    """The table for all numbers of threads."""
    world = make_world(QUICK if setting.quick else Size())
    stars = prepare(world, QUICK_STARS if setting.quick else STARS)
    rows: list[Row] = []
    for threads in setting.threads:
        with quiet(), threads_limited(threads):
            here = [*_over_our_model(world, stars, setting, threads), _own_net(setting, threads)]
        rows += [{**row, "threads": threads, "ours_over": here[0]["rate"] / row["rate"]} for row in here]
    true = chi2_per_pixel(world, stars, stars.labels, stars.rv)
    facts = {
        "pixels": len(world.scene.wavelength),
        "labels": stars.labels.shape[1],
        "χ²/px of the true labels, median": float(np.median(true)),
        "max": float(true.max()),
    }
    return Table("Spectra to labels", NOTE, COLUMNS, rows, facts)


def _over_our_model(world: World, stars: Observed, setting: Setting, threads: int) -> Iterator[Row]:
    """Ours for all stars, `curve_fit` for a few of them."""
    seen = ours.observation(world.bridge, SURVEY, stars.spectra)
    fitted = ours.fit(world.bridge, seen)
    chi2 = chi2_per_pixel(world, stars, fitted.labels, fitted.rv)
    timing = timed(lambda: ours.fit(world.bridge, seen), setting.repeats, setting.limit)
    yield {
        "method": "synth2obs",
        **_rates(timing, len(chi2), threads),
        **_quality(chi2, stars, fitted.labels),
        "note": "31 labels, velocity, continuum; covariance",
    }
    count = QUICK_PEER_STARS if setting.quick else PEER_STARS
    yield {
        **_theirs(world, stars, chi2[:count], threads),
        "method": "curve_fit, our model",
        "note": "the same model, LSF at rest, shift interpolated, continuum profiled",
    }


def _theirs(world: World, stars: Observed, chi2: Array, threads: int) -> Row:
    """`curve_fit` over our model for the stars whose χ² per pixel we reached."""
    model, found = OurModel(world), list[Found]()

    def fit_all() -> None:
        found[:] = [_curve_fit(model, stars, star) for star in range(len(chi2))]

    timing = timed(fit_all, 1)
    labels = np.stack([model.labels(one.scaled) for one in found])
    theirs = chi2_per_pixel(world, stars, labels, np.array([one.rv for one in found]))
    return {
        **_rates(timing, len(chi2), threads),
        **_quality(theirs, stars, labels),
        "chi2_over_ours": float((theirs - chi2).max()),
        "chi2_under_ours": float((theirs - chi2).min()),
        "evaluations": float(np.mean([one.evaluations for one in found])),
    }


def _rates(timing: Timing, stars: int, threads: int) -> Row:
    return {"stars": stars, "rate": stars / seconds(timing, threads), "wall_rate": stars / timing.wall}


def _curve_fit(model: OurModel, stars: Observed, star: int) -> Found:
    flux, ivar = stars.flux[star].astype(float), stars.ivar[star].astype(float)
    return fit_star(model, flux, ivar**-0.5, stars.labels.shape[1])


def _quality(chi2: Array, stars: Observed, labels: Array) -> dict[str, float]:
    error = np.abs(labels - stars.labels[: len(labels)]) / (UPPER - LOWER)
    return {
        "chi2_median": float(np.median(chi2)),
        "chi2_max": float(chi2.max()),
        "label_error": float(np.median(error)),
    }


def chi2_per_pixel(world: World, stars: Observed, labels: Array, rv: Array) -> Array:
    """χ² per pixel of labels (N, 31) and velocities (N,) for the first N stars, in the exact model."""
    count = len(labels)
    model = torch.from_numpy(world.pixels(labels, rv))
    flux, ivar = (torch.as_tensor(values[:count]).double() for values in (stars.flux, stars.ivar))
    wavelength, segment = torch.from_numpy(world.scene.wavelength), torch.from_numpy(world.scene.segment)
    basis = chebyshev_basis(wavelength, segment, world.bridge.survey(SURVEY).config.continuum.order)
    _, continuum = profile_continuum(model, flux, ivar, basis)
    found: Array = ((flux - continuum * model).square() * ivar).mean(1).numpy()
    return found


def _own_net(setting: Setting, threads: int) -> Row:
    """The Payne's fit of its own net, for the time alone and its own χ²."""
    pixels = QUICK_PIXELS if setting.quick else PIXELS
    net, random = random_payne(make_scene("apogee", 32_768, pixels=pixels)), np.random.default_rng(2)
    count = QUICK_PEER_STARS if setting.quick else PEER_STARS
    labels, rv = random.uniform(-0.4, 0.4, (count, net.weights[0].shape[1])), random.uniform(-10, 10, count)
    sigma = net.exact(labels, rv) / 100.0
    flux = net.exact(labels, rv) + sigma * random.normal(size=sigma.shape)
    found: list[Found] = []

    def fit_all() -> None:
        found[:] = [
            fit_star(payne_model(net), own, error, labels.shape[1])
            for own, error in zip(flux, sigma, strict=True)
        ]

    timing = timed(fit_all, 1)
    model = net.exact(np.stack([one.scaled for one in found]), np.array([one.rv for one in found]))
    chi2 = (((flux - model) / sigma) ** 2).mean(1)
    return {
        "method": "curve_fit, The Payne's net",
        **_rates(timing, count, threads),
        "chi2_median": float(np.median(chi2)),
        "chi2_max": float(chi2.max()),
        "label_error": float(
            np.median([np.abs(one.scaled - own) for one, own in zip(found, labels, strict=True)])
        ),
        "evaluations": float(np.mean([one.evaluations for one in found])),
        "note": f"25 labels, velocity; {pixels} pixels; {REBUILT}",
    }
