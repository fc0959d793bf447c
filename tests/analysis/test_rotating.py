"""Stars that rotate: what a survey sees of them, against a convolution done by hand."""

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import synth2obs
from synth2obs.analysis.morph_labels import morph_labels
from synth2obs.cli import app
from synth2obs.core.constants import C_KMS
from synth2obs.core.errors import DataError

SUN = {"teff": 5777.0, "logg": 4.44, "fe_h": 0.0}
FIELDS = ("flux", "flux_theory", "gap", "gap_error")


def profile(shift, vsini, epsilon=0.6):
    """Gray's rotation profile at velocities in km/s, not normalised."""
    square = np.clip(1 - (shift / vsini) ** 2, 0, None)
    return 2 * (1 - epsilon) * np.sqrt(square) + 0.5 * np.pi * epsilon * square


def summed_over_the_disk(bridge, survey, vsini, rv):
    """The spectrum as a sum of still spectra at the velocities of the disk's strips; rest flux is not touched."""
    strips = (np.arange(-400, 400) + 0.5) / 400 * vsini
    weight = profile(strips, vsini)
    velocity = C_KMS * np.tanh(np.arctanh(rv / C_KMS) + strips / C_KMS)
    labels = {name: np.full(len(strips), value) for name, value in SUN.items()}
    still = morph_labels(bridge, labels, survey, velocity)
    return {name: weight @ getattr(still, name) / weight.sum() for name in FIELDS[:2]}


@pytest.mark.parametrize("survey", ["near", "far"])
def test_no_rotation_is_what_was_without_the_arguments(bridge, labels_of, by_name, survey):
    labels = by_name(labels_of(5, seed=3))
    plain = morph_labels(bridge, labels, survey, 12.0)
    zero = morph_labels(bridge, labels, survey, 12.0, np.zeros(5), 0.0)
    for name in (*FIELDS, "latent", "flags"):
        np.testing.assert_array_equal(getattr(zero, name), getattr(plain, name), err_msg=name)


@pytest.mark.parametrize("survey", ["near", "far"])
@pytest.mark.parametrize("vsini", [30.0, 150.0])
def test_a_rotating_star_is_the_sum_over_its_disk(fine, survey, vsini):
    found = morph_labels(fine, SUN, survey, 25.0, vsini)
    known = np.isfinite(found.flux[0])
    assert known.mean() > 0.9
    for name, expected in summed_over_the_disk(fine, survey, vsini, 25.0).items():
        np.testing.assert_allclose(getattr(found, name)[0, known], expected[known], atol=2e-4, err_msg=name)


def test_a_batch_is_its_stars_one_by_one(bridge, labels_of, by_name):
    table, vsini, vmac = labels_of(4, seed=5), np.array([0.0, 40.0, 250.0, 0.0]), np.array([0, 0, 15, 60.0])
    together = morph_labels(bridge, by_name(table), "far", 9.0, vsini, vmac)
    for star in range(4):
        alone = morph_labels(bridge, by_name(table[star : star + 1]), "far", 9.0, vsini[star], vmac[star])
        for name in FIELDS:
            one, other = getattr(together, name)[star], getattr(alone, name)[0]
            np.testing.assert_allclose(one, other, atol=2e-6, err_msg=f"{name} of star {star}")


def test_lines_get_shallower_and_keep_their_area(fine):
    vsini = np.array([0.0, 20.0, 60.0, 150.0])
    found = morph_labels(fine, {"teff": np.full(4, 5777.0)}, "near", vsini=vsini)
    assert (np.diff(np.nanmin(found.flux, axis=1)) > 0.003).all()
    known = np.isfinite(found.flux).all(0)
    np.testing.assert_allclose(
        (1 - found.flux[:, known]).mean(1), (1 - found.flux[0, known]).mean(), rtol=0.02
    )


def test_macroturbulence_makes_lines_shallower(fine):
    depth = [1 - np.nanmin(morph_labels(fine, SUN, "near", vmac=vmac).flux) for vmac in (0.0, 30.0, 60.0)]
    assert depth[0] > depth[1] + 0.003 > depth[2] + 0.006


def test_pixels_that_need_flux_beyond_the_grid_are_not_known(bridge):
    """The grid starts at 5000 Å; 900 km/s there are 15 Å, and interpolation reaches a little further."""
    wavelength = bridge.survey("near").wavelength.numpy()
    still, turning = (morph_labels(bridge, SUN, "near", vsini=vsini).flux[0] for vsini in (0.0, 900.0))
    first = wavelength[np.isfinite(turning)][0]
    assert np.isfinite(still[0]) and 5000 * np.exp(900 / C_KMS) < first < 5060


@pytest.mark.parametrize("name", ["vsini", "vmac"])
@pytest.mark.parametrize(
    "value, words",
    [
        (-1.0, ["km/s", "-1.0", "use 0"]),
        (np.nan, ["km/s", "nan", "use 0"]),
        (np.inf, ["km/s", "inf", "use 0"]),
        (1000.0, ["km/s", "below 1000", "1000.0"]),
        ([1.0, 2.0], ["(2,)", "1 star", "one per star"]),
    ],
)
def test_speeds_that_cannot_be_are_named(bridge, name, value, words):
    with pytest.raises(DataError) as caught:
        morph_labels(bridge, SUN, "near", **{name: value})
    assert all(word in str(caught.value) for word in (name, *words)), caught.value


def test_a_spectrum_brings_its_own_rotation(bridge):
    with pytest.raises(DataError, match="vsini, vmac.*for labels.*leave them out"):
        synth2obs.morph(bridge, spectrum="near.h5", source="near", survey="far", vsini=20.0)


def test_the_command_line_gives_what_python_gives(bridge, bundle, tmp_path):
    from astropy.table import Table

    out = tmp_path / "turning.ecsv"
    options = ["-s", "far", "-l", "teff=5777", "--vsini", "80", "--vmac", "5", "-o", str(out)]
    done = CliRunner().invoke(app, ["morph", bundle, *options])
    assert done.exit_code == 0, done.output
    expected = synth2obs.morph(bridge, labels={"teff": 5777}, survey="far", vsini=80.0, vmac=5.0)
    np.testing.assert_allclose(np.ma.filled(Table.read(out)["flux"], np.nan), expected.flux[0], atol=1e-6)


def test_stars_with_pixels_of_their_own_see_the_same_rotation(fine, labels_of):
    """Functions broadened for all stars at once, and projected to the pixels of each, are the morph's spectra."""
    from synth2obs.models.fit.options import Options

    model, table = fine.survey("far"), labels_of(2, seed=8)
    broadening = Options(vsini=90.0, vmac=20.0).broadening
    coefficients = fine.values_from_labels("far", fine.scale(torch.from_numpy(table)))
    rv = torch.tensor([10.0, -30.0], dtype=torch.float64)
    own = model.project(fine.decoder, fine.instrument("far"), rv, broadening=broadening)
    one = torch.einsum("bpm,bm->bp", own, coefficients.float()).numpy()
    shared = (
        fine.native.through("far", broadening=broadening)
        .of(None, rv)
        .native(coefficients, torch.zeros_like(rv))
    )
    pairs = dict(zip(fine.labels.names, table.T, strict=True))
    morphed = morph_labels(fine, pairs, "far", rv.numpy(), 90.0, 20.0).flux
    known = np.isfinite(morphed)
    np.testing.assert_allclose(one[known], morphed[known], atol=2e-5)
    np.testing.assert_allclose(shared.numpy()[known], morphed[known], atol=2e-5)
