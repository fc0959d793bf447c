"""An invented evaluation: smooth numbers with the right shapes, made up here and measured nowhere."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

STRONG = {
    3934.8: 9.0,
    3969.6: 9.0,
    4862.7: 6.0,
    5168.8: 3.0,
    5174.1: 3.5,
    5185.1: 4.0,
    5891.6: 2.0,
    5897.6: 2.0,
    6564.6: 6.0,
}


def invented_arrays(
    pixels: int = 400, stars: int = 40, examples: int = 2, seed: int = 7
) -> dict[str, NDArray[Any]]:
    """Arrays of ``evaluation/<survey>.npz`` drawn from a fixed random generator."""
    rng = np.random.default_rng(seed)
    wave = np.exp(np.linspace(np.log(3560.0), np.log(7400.0), pixels))
    lines, depths = rng.uniform(3600, 7350, 320), rng.exponential(0.07, 320)
    gap_lines, gap_depths = rng.uniform(3600, 7350, 36), rng.exponential(0.035, 36)

    def absorb(centres: NDArray[Any], amounts: NDArray[Any]) -> NDArray[Any]:
        return (amounts[:, None] * np.exp(-0.5 * ((wave - centres[:, None]) / 1.9) ** 2)).sum(axis=0)

    strong = sum(0.55 * np.exp(-np.abs(wave - x) / w) for x, w in STRONG.items())
    gap = -absorb(gap_lines, gap_depths) + 0.004 * np.sin(wave / 90.0)
    scale = rng.uniform(0.5, 1.3, examples)[:, None]
    theory = np.exp(-scale * (absorb(lines, depths) + strong))
    sigma = np.full((examples, pixels), 0.006) * (1 + 2 * (wave < 4000))
    observed = theory + scale * gap + sigma * rng.normal(size=theory.shape)
    observed[:, pixels // 2 : pixels // 2 + pixels // 60] = np.nan
    level = 0.008 + 0.02 * np.exp(-(wave - 3560) / 500.0) + np.abs(gap)
    truth = np.stack(
        [rng.uniform(4200, 7000, stars), rng.uniform(0.6, 4.7, stars), rng.normal(-0.4, 0.4, stars)], axis=1
    )
    truth[-3:, 2] = np.nan
    wobble = np.array([120.0, 0.30, 0.12])
    noise = rng.normal(size=(2, stars, 3)) * wobble
    latent = rng.normal(size=(stars, 8)) + (truth[:, :1] - 5600) / 700
    grid = rng.normal(size=(900, 2)) @ np.array([[2.4, 0.5], [0.0, 1.2]])
    chi2 = np.exp(rng.normal(1.4, 0.5, stars))
    return {
        "wavelength": wave,
        "example_id": np.array([f"HD {48000 + 317 * k}" for k in range(examples)]),
        "example_labels": truth[:examples],
        "example_observed": observed,
        "example_theory": theory,
        "example_morph": theory + 0.85 * scale * gap,
        "example_sigma": sigma,
        "rms_theory": level * np.exp(0.15 * rng.normal(size=pixels)),
        "rms_constant": 0.85 * level * np.exp(0.12 * rng.normal(size=pixels)),
        "rms_linear": 0.62 * level * np.exp(0.12 * rng.normal(size=pixels)),
        "rms_morph": (0.5 * level + 0.001) * np.exp(0.12 * rng.normal(size=pixels)),
        "chi2_theory": (level / 0.006) ** 2 * np.exp(0.2 * rng.normal(size=pixels)),
        "chi2_morph": 1.0 + 0.15 * (level / 0.006) ** 2 * np.exp(0.2 * rng.normal(size=pixels)),
        "gap_mean": gap + 0.0008 * rng.normal(size=pixels),
        "gap_error": np.full(pixels, 0.0012),
        "gap_slopes": 0.3 * np.stack([gap * np.sin(wave / 400), gap * np.cos(wave / 300)]),
        "gap_slope_names": np.array(["Teff (per 1000 K)", "[Fe/H] (per dex)"]),
        "latent": latent,
        "latent_2d": np.stack(
            [(truth[:, 0] - 5600) / 450, 1.5 - 0.6 * truth[:, 1] + 0.3 * noise[0, :, 1]], axis=1
        ),
        "latent_grid_2d": grid,
        "test_id": np.array([f"star {k}" for k in range(stars)]),
        "test_rv": 25.0 * rng.normal(size=stars),
        "labels_true": truth,
        "labels_theory": truth + noise[0] + np.array([83.0, 0.15, -0.05]),
        "labels_morph": truth + 0.8 * noise[1] + np.array([9.0, 0.02, 0.01]),
        "labels_morph_error": np.abs(0.6 * wobble * np.exp(0.2 * rng.normal(size=(stars, 3)))),
        "snr": rng.uniform(30, 160, stars),
        "scatter": 0.3 * level,
        "chi2_theory_star": chi2 * 1.8,
        "chi2_morph_star": 0.5 + 0.4 * chi2 * np.exp(0.4 * rng.normal(size=stars)),
        **invented_stars(theory[0], gap, stars),
        **invented_meaning(wave),
    }


def invented_stars(theory: NDArray[Any], gap: NDArray[Any], stars: int) -> dict[str, NDArray[Any]]:
    """Fits and spectra of test stars, the last of which has none."""
    rng = np.random.default_rng(17)
    chi2, flags = np.exp(rng.normal(0.2, 0.3, stars)), np.zeros(stars, int)
    flags[:4] = [2, 1, 64, 6]
    chi2[[0, 3]] = 2.7, 3.9
    depth = rng.uniform(0.4, 1.2, (stars - 1, 1))
    curves = {"theory": 1 - depth * (1 - theory), "morph": 1 - depth * (1 - theory - 0.85 * gap)}
    curves["observed"] = 1 - depth * (1 - theory - gap) + 0.006 * rng.normal(size=(stars - 1, len(gap)))
    counted = {name: np.round(1e4 * values).astype(np.int16) for name, values in curves.items()}
    for values in counted.values():
        values[:, 200:206] = -32768
    return {
        "chi2_free_theory": 2.0 * chi2,
        "chi2_free_morph": chi2,
        "good_pixels": rng.uniform(0.4, 1.0, stars),
        "test_flags": flags,
        "test_outside": np.array(["", "logg, fe_h", *[""] * (stars - 2)]),
        "spectra_star": np.arange(stars - 1),
        **{f"spectra_{name}": values for name, values in counted.items()},
    }


def invented_meaning(wave: NDArray[Any], latents: int = 8) -> dict[str, NDArray[Any]]:
    """What latents mean: responses with a line each, and shares."""
    rng = np.random.default_rng(23)
    at = np.linspace(3700.0, 7300.0, latents)
    coarse = wave[::4]
    elements = ["Mg", "Ca", "Ti", "Ni", "Ba"]
    return {
        "latent_wavelength": coarse,
        "latent_response": -0.05 * np.exp(-0.5 * ((coarse - at[:, None]) / 30.0) ** 2).astype(np.float32),
        "latent_labels": np.array(["teff", "logg", "fe_h", "mg_fe"]),
        "latent_correlation": rng.uniform(-1, 1, (latents, 4)),
        "latent_elements": np.array(elements),
        "latent_r2": rng.uniform(0, 0.6, (latents, 5)),
        "latent_element_r2": rng.uniform(0.3, 1.0, 5),
        "latent_line_wavelength": np.stack([at, np.full(latents, np.nan)], axis=1),
        "latent_line_change": np.stack([np.full(latents, -0.05), np.full(latents, np.nan)], axis=1),
        "latent_line_name": np.array([["Mg", ""]] * latents),
    }


def invented_lines(count: int = 14) -> list[dict[str, Any]]:
    """A list of gap lines with made-up depths; every fifth has no element."""
    rng = np.random.default_rng(11)
    names = ["Fe", "Ti", "Cr", "Ni", "none"]
    return [
        {
            "wavelength": float(rng.uniform(3700, 7300)),
            "depth": float(0.01 + rng.exponential(0.03)),
            "depth_error": 0.0012,
            "equivalent_width_error_mA": 9.0,
            "note": "telluric O₂ B" if k == 3 else "",
            "listed": "Fe I 5270.36, Ca I 5271.27" if k % 2 else "",
            "equivalent_width_mA": float(rng.uniform(30, 220)),
            "significance": float(rng.uniform(5, 60)),
            "element": names[k % 5],
            "probability": float(rng.uniform(0.4, 0.99)),
            "runner_up": names[(k + 1) % 4],
        }
        for k in range(count)
    ]


def invented_survey() -> dict[str, Any]:
    """One survey's part of ``metrics.json`` with made-up values."""

    def recovery(*pairs: float) -> dict[str, Any]:
        names = ("teff", "logg", "fe_h")
        bias, scatter = pairs[::2], pairs[1::2]
        return {
            n: {"bias": b, "bias_error": 0.2 * s, "scatter": s, "scatter_error": 0.15 * s, "n": 40}
            for n, b, s in zip(names, bias, scatter, strict=True)
        }

    def versus(method: str) -> dict[str, Any]:
        return {"anchored_rms": {"difference": rms["morph"] - rms[method], "error": 0.0004}}

    rms = {
        "theory": 0.0202,
        "constant_residual": 0.0171,
        "linear_residual": 0.0131,
        "marginal_alignment": 0.0168,
        "morph": 0.0104,
    }
    chi2 = {
        "theory": 7.9,
        "constant_residual": 5.6,
        "linear_residual": 3.2,
        "marginal_alignment": 5.1,
        "morph": 2.1,
    }
    return {
        "n_test": 40,
        "n_train": 590,
        "anchored_rms": rms,
        "anchored_rms_error": {method: 0.0005 for method in rms},
        "versus": {method: versus(method) for method in rms if method != "morph"},
        "noise_floor": {"quoted": 0.0060, "fitted": 0.0047},
        "flagged": {"share": 0.05, "stars": {"2": 2}},
        "anchored_chi2": chi2,
        "free_rms": {"theory": 0.0135, "morph": 0.0086},
        "label_recovery": {
            "theory": recovery(83, 143, 0.15, 0.39, -0.05, 0.16),
            "constant_residual": recovery(41, 141, 0.08, 0.35, -0.06, 0.14),
            "linear_residual": recovery(-12, 110, 0.04, 0.31, 0.03, 0.13),
            "morph": recovery(9, 101, 0.02, 0.29, 0.01, 0.12),
        },
        "gap": {"rms": 0.0062, "rms_error": 0.0003, "lines": invented_lines()},
        "lsf": {
            "width_scale": 1.034,
            "width_scale_error": 0.012,
            "fwhm_angstrom": [2.58, 2.59, 2.6, 2.63],
            "wavelength": [3600.0, 4800.0, 6000.0, 7300.0],
        },
        "wavelengths": {
            "rms": 16.7,
            "rms_error": 1.9,
            "scatter": 5.7,
            "zero_point": None,
            "zero_point_error": None,
            "wavelength": [4000.0, 5000.0, 5000.0, 6000.0],
            "segment": [0, 0, 1, 1],
            "velocity": [-20.0, 20.0, 20.0, -20.0],
            "velocity_error": [2.0, 1.0, 1.0, 2.0],
            "window_wavelength": [4500.0, 5500.0],
            "window_velocity": [1.0, None],
            "window_error": [1.0, None],
        },
        "noise": {"scatter_median": 0.0031, "chi2_per_pixel": 1.04},
        "same_star": {
            "with": "stelib",
            "n": 17,
            "rms": 0.0143,
            "noise_rms": 0.0118,
            "chi2": 1.41,
            "label_difference_theory": {
                "teff": {"bias": 24.0, "scatter": 98.0},
                "logg": {"bias": -0.13, "scatter": 0.31},
                "fe_h": {"bias": 0.12, "scatter": 0.19},
            },
            "label_difference": {
                "teff": {"bias": 14.0, "scatter": 88.0},
                "logg": {"bias": -0.03, "scatter": 0.21},
                "fe_h": {"bias": 0.02, "scatter": 0.09},
            },
        },
        "morph": {"latent_shift_rms": 0.214, "jacobian_rms": 0.061},
    }


@pytest.fixture
def arrays() -> dict[str, NDArray[Any]]:
    """Arrays of one survey."""
    return invented_arrays()


@pytest.fixture
def metrics() -> dict[str, Any]:
    """Metrics of two surveys, of which the second has the same numbers."""
    return {
        "format": "synth2obs-metrics/1",
        "surveys": {"miles": invented_survey(), "stelib": invented_survey()},
        "placebo": {
            "gap_rms": 0.0006,
            "gap_chi2": 1.02,
            "label_bias": {"teff": 3.0, "logg": 0.01, "fe_h": -0.003},
            "morph_shift": 0.012,
            "morph_shift_error": 0.009,
            "n": 200,
        },
        "decoder": {"rms": 0.0021, "median": 0.0006, "emulator_rms": 0.0042, "pca_rms": 0.0057},
        "run": {
            "config": {"seed": 3, "decoder": {"latent_dim": 24, "rank": 256}, "surveys": ["miles", "stelib"]},
            "digests": {"grid": "ab" * 32, "miles": "cd" * 32},
            "versions": {"synth2obs": "0.1.0", "torch": "2.13.0"},
            "git_commit": "0123456789abcdef0123456789abcdef01234567",
            "dirty": False,
            "seconds": 412.7,
            "started": "2026-11-21T10:00:00+00:00",
        },
    }
