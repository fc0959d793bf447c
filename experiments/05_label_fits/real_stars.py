"""Labels of real stars against those that others gave them, and against themselves; are quoted errors right?

`python experiments/05_label_fits/real_stars.py BRIDGE --data FOLDER`

Labels of others evaluate and do nothing else. A survey that the bridge does not know is fitted by plain theory, whose
scatter and noise are learned from that survey's own spectra.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mocks import plain
from observed_stars import Known, benchmarks, held_out, lamost, lamost_dr1, own_labels, suns
from real_plot import draw
from scenes import learn
from scores import Floats, robust, shown, table

from synth2obs import fit_labels, load_bridge
from synth2obs.analysis.bare import bare, with_survey
from synth2obs.analysis.observed import as_spectra
from synth2obs.core.labels import STELLAR
from synth2obs.core.spectra import Spectra
from synth2obs.models.bridge import Bridge
from synth2obs.models.survey import SurveyModel

NEW = "lamost"
WANTED = (0.5, 0.8)
"""Share of real stars within 1 σ that counts as right."""

TITLES = ["stars", "label", "n", "bias", "scatter", "quoted", "others", "pull", "× quoted", "in 1 σ"]


def with_lamost(bridge: Bridge, spectra: Spectra) -> Bridge:
    """The bridge with one more survey of plain theory, its noise learned from its own spectra."""
    some = bridge.survey(bridge.surveys[0])
    first, last = (float(some.wavelength[place]) for place in (0, -1))
    inside = (spectra.wavelength >= first) & (spectra.wavelength <= last)
    pixels = (
        torch.as_tensor(part[inside].copy()) for part in (spectra.wavelength, spectra.segment.astype(int))
    )
    model = SurveyModel(some.config, *pixels, spectra.line_spread.usual.cut(inside))
    trial = with_survey(bridge, NEW, model)
    trial = plain(trial, NEW)
    learn(trial, NEW, as_spectra(trial, spectra, NEW))
    return trial


def fitted(bridge: Bridge, spectra: Spectra, survey: str) -> tuple[Floats, Floats, Any]:
    """Teff, log g, [Fe/H] and errors, (N, 3), and the table."""
    found = fit_labels(bridge, spectra, survey)
    value, error = (
        np.stack([np.asarray(found[name + end]) for name in STELLAR], axis=1) for end in ("", "_error")
    )
    return value, error, found


def inside(bridge: Bridge, labels: Floats) -> Floats:
    """Stars whose labels by others are all known and in the grid, (N,) bool."""
    columns = [bridge.labels.index(name) for name in STELLAR]
    low, high = bridge.labels.lower[columns], bridge.labels.upper[columns]
    return ((labels >= low) & (labels <= high)).all(1)


def rows_of(title: str, offset: Floats, quoted: Floats, other: Floats) -> list[list[str]]:
    """A row per label: fitted minus others', (N, 3), and the errors of both."""
    rows = []
    for column, name in enumerate(STELLAR):
        apart, own, their = (part[:, column] for part in (offset, quoted, other))
        pull = np.abs(apart) / np.hypot(own, their)
        beyond = max(robust(apart) ** 2 - np.median(their) ** 2, 0.0) ** 0.5 / np.median(own)
        numbers = (np.median(apart), robust(apart), np.median(own), np.median(their))
        cells = [shown(name, float(number)) for number in numbers]
        share = f"{100 * (pull < 1).mean():.0f} %"
        width = f"{np.quantile(pull, 0.6827):.2f}"
        rows.append([title, name, str(len(apart)), *cells, width, f"{beyond:.1f}", share])
    return rows


def against(
    bridge: Bridge, known: Known, survey: str, title: str, kept: dict[str, tuple[Floats, Floats, Floats]]
) -> list[list[str]]:
    """Rows of a set, and of its stars without a flag."""
    usable = inside(bridge, known.table)
    value, error, found = fitted(bridge, known.spectra.take(usable), survey)
    parts = value - known.table[usable], error, known.error[usable]
    clean = np.asarray(found["flags"]) == 0
    kept[title] = (known.table[usable], value, error)
    rows = rows_of(title, *parts)
    return rows + (
        rows_of(f"{title}, no flag", *(part[clean] for part in parts)) if 4 < clean.sum() < len(clean) else []
    )


def of_library(bridge: Bridge, known: Known, title: str, error: tuple[float, ...]) -> list[list[str]]:
    """What a library says of the same stars: how far two literatures are apart."""
    own = own_labels(known.spectra)
    usable = inside(bridge, known.table) & np.isfinite(own).all(1)
    offset = (own - known.table)[usable]
    return rows_of(title, offset, np.tile(error, (len(offset), 1)), known.error[usable])


def repeats(bridge: Bridge, spectra: Spectra, title: str) -> list[list[str]]:
    """Each spectrum against the mean of the same star's spectra, which have the same theory's error in common."""
    value, error, found = fitted(bridge, spectra, NEW)
    star = np.asarray(spectra.native["object"])[np.asarray(found["flags"]) == 0]
    value, error = (part[np.asarray(found["flags"]) == 0] for part in (value, error))
    names, count = np.unique(star, return_counts=True)
    offset, quoted = [], []
    for name in names[count > 1]:
        same = star == name
        offset.append((value[same] - value[same].mean(0)) * (same.sum() / (same.sum() - 1)) ** 0.5)
        quoted.append(error[same])
    apart, own = np.concatenate(offset), np.concatenate(quoted)
    return rows_of(f"{title}, {len(offset)} stars", apart, own, np.zeros_like(own))


def sun_rows(bridge: Bridge, data: Path, survey: str) -> list[list[str]]:
    """The Sun and a twin through a survey's morph, and by theory with that survey's scatter."""
    theory = with_survey(bridge, survey, bare(bridge.survey(survey), alignment="identity"))
    rows = []
    for name, (spectrum, truth) in suns(data, bridge, survey).items():
        for title, trial in (("morph", bridge), ("theory", theory)):
            value, error, found = fitted(trial, spectrum, survey)
            cells = [
                f"{shown(label, value[0, column] - truth[column])} ± {shown(label, error[0, column])}"
                for column, label in enumerate(STELLAR)
            ]
            elements = [label for label in bridge.labels.names if label.endswith("_fe")]
            ratios, sigma = (np.array([found[f"{e}{end}"][0] for e in elements]) for end in ("", "_error"))
            share = f"{100 * (np.abs(ratios) < sigma).mean():.0f} %"
            rows.append([f"{name}, {title}", *cells, f"{np.sqrt((ratios**2).mean()):.3f}", share])
    return rows


@torch.no_grad()
def main() -> None:
    """Fit, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("bridge")
    parser.add_argument("--data", type=Path, required=True, help="folder with observed/ and labels/")
    parser.add_argument("--snr", type=float, default=20.0, help="lowest S/N of LAMOST spectra")
    parser.add_argument(
        "--literature", type=float, nargs=3, default=(80.0, 0.15, 0.1), help="errors of the libraries' labels"
    )
    parser.add_argument("--benchmark-fe-h", type=float, default=0.05, help="error of the benchmarks' [Fe/H]")
    parser.add_argument("--png", type=Path, default=Path("real_stars.png"))
    args = parser.parse_args()
    bridge = load_bridge(args.bridge)
    rows: list[list[str]] = []
    kept: dict[str, tuple[Floats, Floats, Floats]] = {}
    for survey in (name for name in ("miles", "stelib") if name in bridge.surveys):
        own = held_out(bridge, survey, tuple(args.literature))
        rows += against(bridge, own, survey, f"{survey} held out", kept)
        marks = benchmarks(args.data, survey, args.benchmark_fe_h)
        rows += against(bridge, marks, survey, f"{survey} benchmarks", kept)
        rows += of_library(bridge, marks, f"{survey}'s own labels, benchmarks", args.literature)
    later = lamost(args.data)
    later = later.take(later.native["snr_g"] > args.snr)
    trial = with_lamost(bridge, later)
    rows += against(trial, lamost_dr1(args.data, args.snr), NEW, "LAMOST DR1", kept)
    rows += repeats(trial, later, "LAMOST DR8 repeats")
    rows += repeats(plain(trial, NEW), later, "the same, photon noise alone")
    print(table(TITLES, rows), "\n")
    titles = ["star", *STELLAR, "rms [X/Fe]", "[X/Fe] within 1 σ"]
    print(table(titles, sun_rows(bridge, args.data, bridge.surveys[0])))
    draw(kept, args.png)


if __name__ == "__main__":
    main()
