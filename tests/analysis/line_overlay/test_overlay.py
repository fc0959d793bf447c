"""Changes of log gf: found where they are, as large as they are, with errors and probabilities that say so."""

from dataclasses import replace

import numpy as np
import pytest

from synth2obs.analysis.line_overlay.overlay import line_overlay
from synth2obs.core.files import file_sha256
from synth2obs.synthesis.overlay import LINE, MISSING

WAVELENGTH = np.arange(5000.0, 5050.0, 0.06)


def found(world, *args, **options):
    return line_overlay(world.gap(*args, **options), world.listed, [world.theory], survey="toy")


def at(overlay, air):
    return next(row for row in overlay.rows if abs(row.wavelength_air - air) < 1e-6)


@pytest.mark.parametrize("delta", [-0.4, -0.15, 0.2, 0.5])
@pytest.mark.parametrize("air", [5003.0, 5042.0])
def test_a_known_change_is_found(world, air, delta):
    overlay = found(world, {air: delta})
    row = at(overlay, air)
    assert [each for each in overlay.rows if each.probability > 0.5] == [row]
    assert row.probability > 0.9 and row.none < 0.1
    assert row.delta_log_gf == pytest.approx(delta, abs=max(3.5 * row.delta_log_gf_error, 0.02))
    assert row.delta_log_gf_error < 0.15


def test_several_changes_are_told_apart(world):
    changes = {5003.0: 0.3, 5005.0: -0.3, 5020.0: 0.25, 5042.0: 0.15}
    overlay = found(world, changes)
    assert {row.wavelength_air for row in overlay.rows if row.probability > 0.5} == set(changes)
    for air, delta in changes.items():
        row = at(overlay, air)
        assert abs(row.delta_log_gf - delta) < max(3.5 * row.delta_log_gf_error, 0.02)


def test_what_cannot_be_told_apart_is_one_group(world):
    overlay = found(world, {5030.0: 0.3})
    strong, weak = at(overlay, 5030.0), at(overlay, 5030.02)
    assert strong.group == weak.group and strong.transition != weak.transition
    others = [row for row in overlay.rows if row not in (strong, weak)]
    assert all(row.group != strong.group for row in others)
    # Together they explain the gap, whichever has it.
    lines = [world.depth(world.number(row.wavelength_air)).max() for row in (strong, weak)]
    moved = lines[0] * (10.0**strong.delta_log_gf - 1.0) + lines[1] * (10.0**weak.delta_log_gf - 1.0)
    assert moved == pytest.approx(lines[0] * (10.0**0.3 - 1.0), rel=0.2)


def test_components_of_a_transition_change_together(world):
    overlay = found(world, {5036.0: 0.3})
    first, second = at(overlay, 5036.0), at(overlay, 5036.08)
    assert first.transition == second.transition and first.delta_log_gf == second.delta_log_gf
    assert first.delta_log_gf == pytest.approx(0.3, abs=0.05)


def test_a_line_that_the_list_lacks_is_said_to_be_missing(world):
    extra = 0.03 * np.exp(-0.5 * ((WAVELENGTH - 5025.0) / 0.12) ** 2)
    overlay = found(world, {}, extra)
    (row,) = overlay.rows
    assert row.kind == MISSING and row.species in ("Fe", "Ti") and row.none > 0.99
    assert row.wavelength_vacuum == pytest.approx(5025.0, abs=0.02)
    assert np.isnan([row.log_gf, row.delta_log_gf, row.excitation]).all()


def test_a_gap_beside_a_line_is_not_the_lines(world):
    """A listed line lies under the gap, but not where the gap is."""
    place = world.listed.transitions[world.number(5011.0)].vacuum[0] + 0.13
    extra = 0.03 * np.exp(-0.5 * ((WAVELENGTH - place) / 0.12) ** 2)
    overlay = found(world, {}, extra)
    assert [row.kind for row in overlay.rows if row.probability > 0.5 or row.kind == MISSING] == [MISSING]


def test_molecules_are_no_candidates(world):
    extra = 0.03 * np.exp(-0.5 * ((WAVELENGTH - 5016.4) / 0.12) ** 2)
    assert all(row.kind == MISSING for row in found(world, {}, extra).rows)


def test_lines_of_the_earth_ask_for_nothing(world):
    gap = world.gap({5003.0: 0.3, 5036.0: 0.3})
    band = {"element": "telluric O₂ B", "note": "telluric O₂ B"}
    lines = [replace(line, **band) if line.wavelength < 5010.0 else line for line in gap.lines]
    overlay = line_overlay(replace(gap, lines=lines), world.listed, [world.theory])
    assert {row.wavelength_air for row in overlay.rows} == {5036.0, 5036.08}


def test_nothing_is_found_where_nothing_is_wrong(world):
    overlay = found(world, {})
    assert overlay.rows == [] and overlay.lists[0].sha256 == file_sha256(world.config.file)


def test_errors_and_probabilities_are_calibrated(world):
    """Over many lists that are wrong in some lines."""
    pulls, stated, right = [], [], []
    airs = [each.air[0] for each in world.listed.transitions if each.air[0] not in (5030.0, 5030.02)]
    for seed in range(40):
        random = np.random.default_rng(seed)
        truth = {air: float(random.normal(0.0, 0.3)) for air in airs if random.random() < 0.4}
        for row in found(world, truth, seed=seed).rows:
            if row.kind == LINE and row.wavelength_air in airs:
                stated.append(row.probability)
                right.append(row.wavelength_air in truth)
                pulls.append((row.delta_log_gf - truth.get(row.wavelength_air, 0.0)) / row.delta_log_gf_error)
    assert np.mean(stated) == pytest.approx(np.mean(right), abs=0.08)
    # Responses are exact here, so that what is allowed for their errors makes pulls small.
    assert np.median(np.abs(pulls)) < 0.8 and np.mean(np.abs(pulls) < 3.0) > 0.97
