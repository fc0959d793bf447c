"""A closed loop: stars that rotate, and the labels that fits find for them."""

import dataclasses

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import synth2obs
from synth2obs.analysis.flags import LIMIT
from synth2obs.analysis.labels import labels_of
from synth2obs.analysis.morph_labels import morph_labels
from synth2obs.cli import app
from synth2obs.core.errors import DataError
from synth2obs.io.shard.write import write_shard
from synth2obs.models.fit.ladder import parabola
from synth2obs.models.fit.rotating import Rotation

COUNT, FINER = 16, 4


@pytest.fixture(scope="module")
def truth(labels_of):
    return labels_of(COUNT, seed=11, share=0.7)


@pytest.fixture(scope="module")
def turning(fine, truth, by_name, stars_of):
    """Rotation in km/s → spectra of stars at R = 4400 and S/N 100."""

    def build(vsini):
        flux = morph_labels(fine, by_name(truth), "far", np.linspace(-20, 20, COUNT), vsini).flux
        return stars_of("far", flux, snr=100, finer=FINER)

    return build


@pytest.fixture(scope="module")
def mixed(fine, turning):
    """Spectra of stars that rotate at 60 and 150 km/s in turn, these speeds, and labels with the speed fitted."""
    speeds = np.where(np.arange(COUNT) % 2, 60.0, 150.0)
    spectra = turning(speeds)
    return spectra, speeds, labels_of(fine, spectra, "far", population=False, vsini="fit")


def deviations(found, truth):
    """Labels minus truth in units of the errors, (N, 5)."""
    return np.stack(
        [(found.values[name] - truth[:, k]) / found.errors[name] for k, name in enumerate(found.values)],
        axis=1,
    )


def rms(values):
    return np.sqrt(np.mean(values**2))


@pytest.mark.parametrize("vsini", [60.0, 150.0])
def test_labels_are_biased_without_the_rotation_and_unbiased_with_it(fine, turning, truth, vsini):
    spectra = turning(vsini)
    ignored, known = (
        labels_of(fine, spectra, "far", population=False, vsini=given) for given in (None, vsini)
    )
    assert rms(deviations(ignored, truth)) > 8 and rms(ignored.values["teff"] - truth[:, 0]) > 60
    # 80 deviations: their rms lies within 0.75 to 1.3 of 1 unless errors are wrong.
    assert 0.75 < rms(deviations(known, truth)) < 1.3
    assert abs(np.median(known.values["teff"] - truth[:, 0])) < 15
    assert 0.85 < np.median(known.chi2 / known.pixels) < 1.15 < np.median(ignored.chi2 / ignored.pixels)
    np.testing.assert_array_equal(known.vsini, vsini)
    np.testing.assert_array_equal(known.vsini_error, 0.0)


def test_the_rotation_is_found_within_its_error(mixed, truth):
    _, speeds, found = mixed
    off = (found.vsini - speeds) / found.vsini_error
    assert (np.abs(off) < 2).mean() > 0.8 and np.abs(off).max() < 4
    assert (found.vsini_error < 5).all() and (found.flags == 0).all()
    assert 0.7 < rms(deviations(found, truth)) < 1.35


def test_rotation_that_does_not_show_is_an_upper_limit(fine, turning, truth):
    found = labels_of(fine, turning(0.0), "far", population=False, vsini="fit")
    limit = (found.flags & LIMIT) > 0
    assert limit.mean() > 0.8
    assert (found.vsini + 3 * found.vsini_error < 25).all() and (found.vsini_error > 0).all()
    assert 0.75 < rms(deviations(found, truth)) < 1.35


def test_a_star_found_alone_is_the_star_found_among_others(fine, mixed):
    spectra, _, together = mixed
    alone = labels_of(fine, spectra.take(np.array([5])), "far", population=False, vsini="fit")
    assert abs(alone.vsini[0] - together.vsini[5]) < 0.05 * alone.vsini_error[0]
    for name, value in alone.values.items():
        assert abs(together.values[name][5] - value[0]) < 0.05 * alone.errors[name][0], name


def test_a_speed_each_is_the_speed_of_each(fine, mixed):
    spectra, speeds, _ = mixed
    together = labels_of(fine, spectra, "far", population=False, vsini=speeds)
    some = np.nonzero(speeds == 60.0)[0]
    alone = labels_of(fine, spectra.take(some), "far", population=False, vsini=60.0)
    for name, value in alone.values.items():
        assert np.abs((together.values[name][some] - value) / alone.errors[name]).max() < 0.02, name
    assert list(together.id) == list(spectra.id)


def test_held_at_0_is_what_fits_give_without_it(bridge, labels_of_few, stars_of):
    spectra = stars_of("far", labels_of_few, snr=200)
    plain, zero = (labels_of(bridge, spectra, "far", population=False, vsini=vsini) for vsini in (None, 0.0))
    assert plain.vsini is None and (zero.vsini == 0).all()
    for name, values in plain.values.items():
        # The same sums; their last bits depend on where in memory they are done.
        np.testing.assert_allclose(zero.values[name], values, rtol=0, atol=1e-4 * plain.errors[name].min())


@pytest.fixture(scope="module")
def labels_of_few(bridge, labels_of):
    return bridge.predict(labels_of(3, seed=31, share=0.7), "far")


def test_stars_with_pixels_of_their_own_have_the_same_rotation(fine, turning):
    spectra = turning(100.0).take(np.arange(3))
    own = dataclasses.replace(spectra, wavelength=np.tile(spectra.wavelength, (3, 1)))
    one, other = (labels_of(fine, some, "far", population=False, vsini=100.0) for some in (spectra, own))
    for name in one.values:
        assert np.abs((one.values[name] - other.values[name]) / one.errors[name]).max() < 0.15, name


@pytest.mark.parametrize("vsini", [None, 80.0])
def test_macroturbulence_is_held_with_and_without_rotation(fine, by_name, truth, stars_of, vsini):
    flux = morph_labels(fine, by_name(truth), "far", vsini=vsini or 0.0, vmac=60.0).flux
    spectra = stars_of("far", flux, snr=100, finer=FINER)
    known, ignored = (
        labels_of(fine, spectra, "far", population=False, vsini=vsini, vmac=vmac) for vmac in (60.0, 0.0)
    )
    assert 0.75 < rms(deviations(known, truth)) < 1.3 and rms(deviations(ignored, truth)) > 1.6


def test_no_pixel_leaves_rotation_open(fine, turning):
    spectra = turning(60.0).take(np.arange(2))
    spectra.ivar[1] = 0.0
    found = labels_of(fine, spectra, "far", population=False, vsini="fit")
    assert found.flags[1] & LIMIT and found.vsini_error[1] > 300
    assert np.isfinite(found.vsini).all() and all(
        np.isfinite(column).all() for column in found.errors.values()
    )


@pytest.mark.parametrize("vmac", [-1.0, np.nan, 1000.0])
def test_a_vmac_that_cannot_be_is_named(fine, turning, vmac):
    with pytest.raises(DataError, match="vmac in km/s must be at least 0 and below 1000"):
        synth2obs.fit_labels(fine, turning(0.0), "far", vmac=vmac)


def test_columns_are_there_only_if_asked_for(fine, turning):
    spectra = turning(60.0).take(np.arange(2))
    plain, held = (synth2obs.fit_labels(fine, spectra, "far", vsini=vsini) for vsini in (None, 60.0))
    assert {"vsini", "vsini_error"} == set(held.colnames) - set(plain.colnames)
    assert str(held["vsini"].unit) == str(held["vsini_error"].unit) == "km / s"
    assert held.meta["flags"]["16"] == "vsini, or the line spread's scale, is a limit"


@pytest.mark.parametrize(
    "vsini, words",
    [
        (-5.0, ["vsini in km/s", "-5.0", "use 0"]),
        (np.nan, ["nan"]),
        ([60.0, 1000.0], ["below 1000", "1000.0"]),
        ([1.0, 2.0, 3.0], ["(3,)", "2 stars"]),
        ("fast", ["'fast'", "'fit'", "give a number"]),
    ],
)
def test_a_vsini_that_cannot_be_is_named(fine, turning, vsini, words):
    with pytest.raises(DataError) as caught:
        synth2obs.fit_labels(fine, turning(0.0).take(np.arange(2)), "far", vsini=vsini)
    assert all(word in str(caught.value) for word in ("vsini", *words)), caught.value


@pytest.mark.parametrize("vsini", ["60", "fit"])
def test_the_command_line_gives_what_python_gives(bridge, bundle, labels_of_few, stars_of, tmp_path, vsini):
    from astropy.table import Table

    shard, out = write_shard(stars_of("far", labels_of_few, snr=200), tmp_path / "a.h5"), tmp_path / "a.ecsv"
    done = CliRunner().invoke(app, ["fit", bundle, str(shard), "-s", "far", "--vsini", vsini, "-o", str(out)])
    assert done.exit_code == 0, done.output
    expected = synth2obs.fit_labels(
        bridge, str(shard), "far", vsini=vsini if vsini == "fit" else float(vsini)
    )
    found = Table.read(out)
    assert found.colnames == expected.colnames
    np.testing.assert_allclose(found["vsini"], expected["vsini"], rtol=1e-3, atol=0.1)


def test_the_command_line_refuses_what_is_no_speed(bundle, labels_of_few, stars_of, tmp_path):
    shard = write_shard(stars_of("far", labels_of_few), tmp_path / "a.h5")
    options = ["-s", "far", "--vsini", "fast", "-o", str(tmp_path / "a.ecsv")]
    refused = CliRunner().invoke(app, ["fit", bundle, str(shard), *options])
    assert refused.exit_code == 2 and "'fast'" in refused.stderr


def test_a_ladder_starts_at_0_and_its_rungs_are_equal_in_width():
    ladder = Rotation(30.0)
    rungs = torch.arange(ladder.last + 1)
    width = (30.0**2 + 0.225 * ladder.value(rungs) ** 2).sqrt()
    assert ladder.value(rungs)[0] == 0 and ladder.value(rungs)[-1] >= 400
    torch.testing.assert_close(width.log().diff(), torch.full_like(width[1:], 0.01))
    torch.testing.assert_close(ladder.place(ladder.value(rungs)), rungs.double())


def test_a_parabola_is_found_exactly():
    at = torch.tensor([[2.0], [5.0], [8.0]], dtype=torch.float64)
    vertex, sigma = parabola(((at - 4.2) / 1.7) ** 2 + 9.0, torch.tensor([5]), torch.tensor([3]))
    torch.testing.assert_close(vertex, torch.tensor([4.2], dtype=torch.float64))
    torch.testing.assert_close(sigma, torch.tensor([1.7], dtype=torch.float64))
