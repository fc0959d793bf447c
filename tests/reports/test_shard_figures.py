"""Figures of spectra as a shard holds them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from synth2obs import cli
from synth2obs.core.errors import DataError, OutputError
from synth2obs.core.line_spread import LineSpread
from synth2obs.core.spectra import Spectra
from synth2obs.io.embedded import embedded_path
from synth2obs.io.shard.read import read_shard
from synth2obs.io.shard.write import write_shard
from synth2obs.reports.detector_panels import detectors
from synth2obs.reports.shard_figures import (
    MOST_PANELS,
    default_name,
    parse_range,
    plot_shard,
    shard_figure,
    title,
    write_figure,
)


def two_detectors(stars: int = 3) -> Spectra:
    """Made-up stars on two detectors of 50 pixels with a gap of 100 Å, some pixels masked and flagged."""
    axis = np.concatenate([5000.0 + np.arange(50), 5150.0 + np.arange(50)])
    ivar = np.full((stars, 100), 400.0, dtype=np.float32)
    flags = np.zeros((stars, 100), dtype=np.uint32)
    ivar[:, 20:23], flags[:, 20:23] = 0.0, 1
    flags[:, 60] = 1 << 7
    return Spectra(
        domain="made",
        kind="survey",
        wavelength=axis,
        segment=np.repeat([0, 1], 50).astype(np.int16),
        flux=np.ones((stars, 100), dtype=np.float32),
        ivar=ivar,
        flags=flags,
        flag_names={0: "BADPIX"},
        id=np.array([f"star ${number}" for number in range(stars)]),
        line_spread=LineSpread.gaussian(np.full(100, 0.5), stars=stars),
        rv=np.zeros(stars),
        rv_error=np.full(stars, 0.2),
        snr=np.full(stars, 20.0),
        native={"rv": np.full(stars, -12.345)},
        frame="rest",
        flux_kind="normalized",
        air_formula="Morton2000",
    )


@pytest.fixture
def made(tmp_path):
    return write_shard(two_detectors(), tmp_path / "made.h5")


def lines(figure):
    """Data of the flux curves, one a detector."""
    return [part.lines[0].get_xydata() for part in every_axes(figure) if "flux" in part.get_ylabel()]


def every_axes(figure):
    return [axes for part in figure.subfigs for axes in part.axes]


def test_no_line_crosses_a_gap_or_a_bad_pixel():
    figure = shard_figure(two_detectors().take(np.array([0])))
    first, second = lines(figure)
    assert first[:, 0].max() == 5049.0 and second[:, 0].min() == 5150.0
    assert np.isnan(first[20:23, 1]).all() and np.isfinite(np.delete(first[:, 1], [20, 21, 22])).all()


def test_flags_have_their_names_where_they_are_set():
    first, second = detectors(two_detectors(), 0, None)
    assert list(first.flags) == ["BADPIX"] and list(second.flags) == ["bit 7"]
    assert np.flatnonzero(first.flags["BADPIX"]).tolist() == [20, 21, 22]
    assert first.sigma is not None and first.sigma[0] == pytest.approx(0.05)
    panels = every_axes(shard_figure(two_detectors()))
    names = [label.get_text() for axes in panels for label in axes.get_yticklabels()]
    assert names.count("BADPIX") == names.count("bit 7") == 3


def test_the_title_says_what_one_looks_at():
    text = title(two_detectors(), 1)
    assert text == (
        "star $1 (made) · S/N 20 · rv 0.00 ± 0.20 km/s · published −12.35 km/s"
        " · vacuum (from air, Morton2000), rest frame"
    )
    unknown = replace(
        two_detectors(), rv=np.full(3, np.nan), snr=np.full(3, np.nan), native={}, air_formula=""
    )
    assert title(unknown, 0) == "star $0 (made) · rv unknown · vacuum, rest frame"


def test_a_range_leaves_detectors_out():
    figure = shard_figure(two_detectors(), (5150.0, 5160.0))
    assert all(len(line) == 11 for line in lines(figure)) and len(lines(figure)) == 3


@pytest.mark.parametrize("change", ["all masked", "own wavelengths", "grid", "one pixel"])
def test_every_kind_of_table_is_drawn(change, tmp_path):
    one = two_detectors()
    if change == "all masked":
        one = replace(one, ivar=np.zeros_like(one.ivar))
    elif change == "own wavelengths":
        one = replace(one, wavelength=one.wavelength + np.arange(3)[:, None])
    elif change == "grid":
        one = replace(one, kind="grid", ivar=None, flags=None)
    limits = (5010.0, 5010.5) if change == "one pixel" else None
    write_figure(shard_figure(one, limits), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_a_spike_does_not_hide_the_star():
    one = two_detectors()
    flux = np.tile(1.0 + 0.1 * np.sin(np.arange(100)), (3, 1))
    flux[:, 5], flux[:, 30] = 1000.0, 0.01
    axes = every_axes(shard_figure(replace(one, flux=flux.astype(np.float32))))[0]
    assert axes.get_ylim()[0] < 0.01 and axes.get_ylim()[1] < 2.0
    assert [text.get_text() for text in axes.texts] == ["1 pixel beyond the panel"]


def test_one_figure_does_not_hold_a_survey():
    with pytest.raises(DataError, match=f"{MOST_PANELS} at most"):
        shard_figure(two_detectors(MOST_PANELS // 2 + 1))


def test_spectra_are_found_by_name_and_by_row(made, tmp_path):
    out = plot_shard(made, ["star $1"], [2, 1], None, tmp_path / "b.svg")
    text = out.read_text()
    assert "star $1 (made)" in text and "star $2 (made)" in text and text.count("(made)") == 2


def test_a_name_that_is_not_there_is_refused_with_the_nearest(made, tmp_path):
    with pytest.raises(
        DataError, match=r"made\.h5: id: no spectrum 'star 1'.*nearest of its 3 are star \$"
    ) as refused:
        plot_shard(made, ["star 1"], [], None, tmp_path / "a.png")
    assert refused.value.path == made
    with pytest.raises(DataError, match=r"it has 3, the first are star \$0"):
        plot_shard(made, ["XYZ"], [], None, tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    "options, words",
    [
        (["--row", "3"], ["made.h5", "rows 0 to 2"]),
        (["--wave", "10:20"], ["made.h5", "star $0", "10 to 20", "5000.00 to 5199.00"]),
        (["--wave", "20:10"], ["--wave", "LOW:HIGH"]),
        (["--wave", "nan:1"], ["--wave", "LOW:HIGH"]),
        (["-o", "a.xlsx"], ["a.xlsx", ".png"]),
        (["-o", "/proc/none/a.png"], ["/proc/none"]),
    ],
    ids=lambda one: "-".join(one).replace("/", " "),
)
def test_what_cannot_be_drawn_is_refused(made, options, words):
    done = CliRunner().invoke(cli.app, ["plot", str(made), *options])
    assert done.exit_code == 2 and done.stderr.startswith("error: "), done.output
    assert all(word in done.stderr for word in words), done.stderr


def test_the_command_names_its_file(made, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli.app, ["plot", str(made), "--id", "star $2", "--wave", "5000:5030"])
    assert done.exit_code == 0 and done.output.strip() == "made-star_2-a3568ddb.png"
    assert (tmp_path / "made-star_2-a3568ddb.png").read_bytes().startswith(b"\x89PNG")
    assert default_name(Path("/a/b.h5"), ["x", "y"]) == "b-2-spectra.png"
    assert parse_range(None) is None


def test_an_unknown_format_is_refused_in_python_too(tmp_path):
    figure = shard_figure(read_shard(embedded_path("miles"), [0]))
    with pytest.raises(OutputError, match=r"\.svg"):
        write_figure(figure, tmp_path / "a.gif")
