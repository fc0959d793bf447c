"""A closed loop: stars whose lines are narrower or wider than the survey's usual ones, and what fits find."""

import copy
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
from synth2obs.models.fit.line_spread import LineSpreadScale
from synth2obs.models.fit.options import Options

COUNT, FINER = 16, 4
SCALES = np.where(np.arange(COUNT) % 2, 0.9, 1.15)


@pytest.fixture(scope="module")
def truth(labels_of):
    return labels_of(COUNT, seed=11, share=0.7)


@pytest.fixture(scope="module")
def scaled(fine, truth, by_name, stars_of):
    """A scale → spectra at S/N 100 by a survey whose own learned scale is that."""
    other = copy.deepcopy(fine)

    def build(scale):
        other.survey("far").width_scale.fill_(scale)
        flux = morph_labels(other, by_name(truth), "far", np.linspace(-20, 20, COUNT)).flux
        return stars_of("far", flux, snr=100, finer=FINER)

    return build


@pytest.fixture(scope="module")
def mixed(fine, scaled):
    """Spectra of stars with `SCALES`, and labels with the scale fitted."""
    narrow, wide = scaled(0.9), scaled(1.15)
    even = (np.arange(COUNT) % 2 == 0)[:, None]
    columns = {name: np.where(even, getattr(wide, name), getattr(narrow, name)) for name in ("flux", "ivar")}
    spectra = dataclasses.replace(wide, **columns)
    return spectra, labels_of(fine, spectra, "far", population=False, lsf="fit")


@pytest.fixture(scope="module")
def few(bridge, labels_of, stars_of):
    return stars_of("far", bridge.predict(labels_of(3, seed=31, share=0.7), "far"), snr=200)


def deviations(found, truth):
    """Labels minus truth in units of the errors, (N, 5)."""
    columns = enumerate(found.values)
    return np.stack([(found.values[name] - truth[:, k]) / found.errors[name] for k, name in columns], axis=1)


def rms(values):
    return np.sqrt(np.mean(values**2))


def test_the_scale_is_found_within_its_error_and_labels_with_it(fine, mixed, truth):
    spectra, found = mixed
    off = (found.lsf_scale - SCALES) / found.lsf_scale_error
    assert (np.abs(off) < 2).mean() > 0.8 and np.abs(off).max() < 4
    assert (found.lsf_scale_error < 0.02).all() and (found.flags == 0).all()
    # 80 deviations: their rms lies within 0.7 to 1.35 of 1 unless errors are wrong.
    assert 0.7 < rms(deviations(found, truth)) < 1.35
    ignored = labels_of(fine, spectra, "far", population=False)
    assert rms(deviations(ignored, truth)) > 2.5
    assert rms(ignored.values["teff"] - truth[:, 0]) > 3 * rms(found.values["teff"] - truth[:, 0])


def test_a_scale_each_is_held_for_each(fine, mixed, truth):
    spectra, _ = mixed
    together = labels_of(fine, spectra, "far", population=False, lsf=SCALES)
    assert 0.7 < rms(deviations(together, truth)) < 1.3
    assert 0.85 < np.median(together.chi2 / together.pixels) < 1.15
    np.testing.assert_array_equal(together.lsf_scale, SCALES)
    np.testing.assert_array_equal(together.lsf_scale_error, 0.0)
    some = np.nonzero(SCALES == 0.9)[0]
    alone = labels_of(fine, spectra.take(some), "far", population=False, lsf=0.9)
    for name, value in alone.values.items():
        assert np.abs((together.values[name][some] - value) / alone.errors[name]).max() < 0.02, name
    assert list(together.id) == list(spectra.id)


def test_usual_stars_have_a_scale_of_1_and_the_labels_of_a_plain_fit(fine, scaled):
    spectra = scaled(1.0)
    plain, one, found = (
        labels_of(fine, spectra, "far", population=False, lsf=lsf) for lsf in (None, 1.0, "fit")
    )
    assert (np.abs(found.lsf_scale - 1) < 3 * found.lsf_scale_error).all()
    for name, values in plain.values.items():
        np.testing.assert_allclose(one.values[name], values, rtol=0, atol=1e-4 * plain.errors[name].min())
        # What the scale's own error makes of labels is part of their error.
        ratio = found.errors[name] / plain.errors[name]
        assert ratio.min() > 0.97 and ratio.mean() > 1.005, name
        assert np.median(np.abs(found.values[name] - values) / found.errors[name]) < 0.4, name


def test_a_star_found_alone_is_the_star_found_among_others(fine, mixed):
    spectra, together = mixed
    alone = labels_of(fine, spectra.take(np.array([5])), "far", population=False, lsf="fit")
    assert abs(alone.lsf_scale[0] - together.lsf_scale[5]) < 0.05 * alone.lsf_scale_error[0]
    for name, value in alone.values.items():
        assert abs(together.values[name][5] - value[0]) < 0.05 * alone.errors[name][0], name


def test_a_held_scale_is_a_factor_on_what_the_survey_learned(fine, scaled):
    """A survey that learned 1.1 and a star of 1.05 are a survey that learned their product."""
    spectra, factor = scaled(1.1).take(np.arange(3)), float(np.exp(0.05))
    one, two = copy.deepcopy(fine), copy.deepcopy(fine)
    one.survey("far").width_scale.fill_(1.1)
    two.survey("far").width_scale.fill_(1.1 * factor)
    for turning in (None, 40.0):
        split = labels_of(one, spectra, "far", population=False, lsf=factor, vsini=turning)
        whole = labels_of(two, spectra, "far", population=False, vsini=turning)
        for name, values in whole.values.items():
            assert np.abs((split.values[name] - values) / whole.errors[name]).max() < 0.01, name


def test_stars_with_pixels_of_their_own_have_the_same_scale(fine, scaled):
    spectra = scaled(1.2).take(np.arange(3))
    own = dataclasses.replace(spectra, wavelength=np.tile(spectra.wavelength, (3, 1)))
    one, other = (labels_of(fine, some, "far", population=False, lsf=1.2) for some in (spectra, own))
    for name in one.values:
        assert np.abs((one.values[name] - other.values[name]) / one.errors[name]).max() < 0.15, name


def test_theory_takes_the_scale_and_the_gap_does_not(fine):
    usual, wide = fine.native.through("far"), fine.native.through("far", width=1.3)
    assert wide.width == 1.3 * usual.width and fine.native.through("far", width=1.3) is wide
    assert fine.native.through("far") is usual
    still, size = torch.zeros(1, dtype=torch.float64), wide.sharp.shape[1]
    for columns, moved in ((slice(0, size), True), (slice(size, None), False)):
        coefficients = torch.zeros(1, size + wide.seen.shape[1])
        coefficients[:, columns] = 1.0
        one, other = (part.of(None, still).native(coefficients, still) for part in (usual, wide))
        assert (float((one - other).abs().max()) > 1e-3) == moved


def test_a_rotating_star_has_a_scale_too(fine, by_name, truth, stars_of):
    flux = morph_labels(fine, by_name(truth), "far", vsini=60.0).flux
    spectra = stars_of("far", flux, snr=100, finer=FINER).take(np.arange(4))
    found = labels_of(fine, spectra, "far", population=False, vsini=60.0, lsf="fit")
    assert (np.abs(found.lsf_scale - 1) < 3 * found.lsf_scale_error).all() and (found.vsini == 60).all()


def test_a_scale_beyond_what_is_looked_for_and_one_that_does_not_show_are_limits(fine, scaled):
    spectra = scaled(1.6).take(np.arange(2))
    spectra.ivar[1] = 0.0
    found = labels_of(fine, spectra, "far", population=False, lsf="fit")
    assert (found.flags & LIMIT > 0).all() and found.lsf_scale[0] == pytest.approx(np.exp(0.3))
    assert 0 < found.lsf_scale_error[0] < 0.1 and found.lsf_scale_error[1] > 0.2


def test_columns_are_there_only_if_asked_for(fine, scaled):
    spectra = scaled(1.0).take(np.arange(2))
    plain, held = (synth2obs.fit_labels(fine, spectra, "far", lsf=lsf) for lsf in (None, 0.95))
    assert set(held.colnames) - set(plain.colnames) == {"lsf_scale", "lsf_scale_error"}
    assert "the line spread's scale" in held.meta["flags"]["16"]


@pytest.mark.parametrize(
    "lsf, words",
    [
        (0.0, ["factor on the survey's σ", "from 0.5 to 2", "0.0", "use 1"]),
        (-1.0, ["-1.0"]),
        (np.nan, ["nan"]),
        ([1.0, np.inf], ["inf"]),
        (2.5, ["2.5"]),
        ([1.0, 1.0, 1.0], ["(3,)", "2 stars", "one factor"]),
        (["wide", "fit"], ["'wide'", "must be numbers"]),
        ("wide", ["'wide'", "'fit'", "give a number"]),
    ],
)
def test_a_scale_that_cannot_be_is_named(bridge, few, lsf, words):
    with pytest.raises(DataError) as caught:
        synth2obs.fit_labels(bridge, few.take(np.arange(2)), "far", lsf=lsf)
    assert all(word in str(caught.value) for word in ("lsf", *words)), caught.value


def test_rotation_and_scale_cannot_both_be_looked_for(bridge, few):
    with pytest.raises(DataError, match="vsini, lsf: .*'fit' for both; give one of them a number"):
        synth2obs.fit_labels(bridge, few, "far", vsini="fit", lsf="fit")


@pytest.mark.parametrize("width", [0.0, -1.0, np.nan, np.inf])
def test_a_width_is_a_positive_factor(width):
    with pytest.raises(ValueError, match="positive factor on the survey's σ"):
        Options(width=width)


@pytest.mark.parametrize("lsf", ["0.97", "fit"])
def test_the_command_line_gives_what_python_gives(bridge, bundle, few, tmp_path, lsf):
    from astropy.table import Table

    shard, out = write_shard(few.take(np.arange(1)), tmp_path / "a.h5"), tmp_path / "a.ecsv"
    done = CliRunner().invoke(app, ["fit", bundle, str(shard), "-s", "far", "--lsf", lsf, "-o", str(out)])
    assert done.exit_code == 0, done.output
    expected = synth2obs.fit_labels(bridge, str(shard), "far", lsf=lsf if lsf == "fit" else float(lsf))
    found = Table.read(out)
    assert found.colnames == expected.colnames
    np.testing.assert_allclose(found["lsf_scale"], expected["lsf_scale"], rtol=1e-3)


def test_the_command_line_refuses_what_is_no_scale(bundle, few, tmp_path):
    shard = write_shard(few, tmp_path / "a.h5")
    options = ["-s", "far", "--lsf", "wide", "-o", str(tmp_path / "a.ecsv")]
    refused = CliRunner().invoke(app, ["fit", bundle, str(shard), *options])
    assert refused.exit_code == 2 and "'wide'" in refused.stderr


def test_a_ladder_has_1_at_its_place_0_and_its_rungs_are_equal_in_width():
    ladder = LineSpreadScale()
    rungs = torch.arange(ladder.first, ladder.last + 1)
    scale = ladder.value(rungs)
    assert scale[0] < 0.75 and scale[-1] > 1.345 and scale[-ladder.first] == 1.0
    torch.testing.assert_close(scale.log().diff(), torch.full_like(scale[1:], 0.005))
    torch.testing.assert_close(ladder.place(scale), rungs.double())
