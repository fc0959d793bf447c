"""The pages as a browser has them, from ``file://``: what is drawn, what is asked for, what is said without assets."""

import json
import shutil
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest

from synth2obs.reports.survey import rebuild

_spec = spec_from_file_location("browser", Path(__file__).parent / "browser.py")
chromium = module_from_spec(_spec)
_spec.loader.exec_module(chromium)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(chromium.found() is None, reason="there is no Chromium"),
]

DRAWN = "document.querySelectorAll('#{} .scatterlayer .trace').length === {}"
SHOWN = "[...document.querySelectorAll('#star-table tbody tr')].filter((row) => !row.hidden).length"


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with chromium.browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


@pytest.fixture
def pages(run, tmp_path, metrics, arrays):
    # Drawing takes seconds; every test gets a copy of the same pages.
    if not (run / "report").exists():
        (run / "metrics.json").write_text(json.dumps(metrics))
        (run / "evaluation").mkdir()
        np.savez(run / "evaluation" / "miles.npz", **arrays)
        rebuild(run)
    return Path(shutil.copytree(run / "report", tmp_path / "report"))


def test_a_star_that_is_chosen_is_drawn_and_nothing_else_is_asked_for(tab, pages):
    tab.open(pages / "miles.html")
    tab.value("document.querySelector('button[data-star=\"20\"]').click()")
    tab.until(DRAWN.format("star-figure", 5))
    assert tab.value("document.getElementById('star-name').textContent") == "star 20"
    tab.value("document.getElementById('star-next').click()")
    tab.until("document.getElementById('star-name').textContent !== 'star 20'")
    tab.value("document.getElementById('latent-choice').scrollIntoView()")
    tab.until(DRAWN.format("latent-figure", 2))
    tab.value(
        "(() => { const slide = document.getElementById('latent-slide'); slide.value = 3;"
        "slide.dispatchEvent(new Event('input')); })()"
    )
    tab.until("document.getElementById('latent-figure').getAttribute('aria-label').includes('latent 3')")
    assert not tab.errors()
    assert all(url.startswith(pages.resolve().as_uri()) for url in tab.requests())
    curve = tab.value("document.getElementById('star-figure').data[0].y.slice(199, 202)")
    assert curve[1:] == [None, None] and 0 < curve[0] < 1.5


def test_words_filter_the_stars(tab, pages):
    tab.open(pages / "miles.html")
    search = (
        "(() => {{ const box = document.getElementById('star-search'); box.value = '{}';"
        "box.dispatchEvent(new Event('input')); return {}; }})()"
    )
    for words, count in (("", 40), ("poor FIT", 2), ("star 39", 1), ("nobody", 0)):
        assert tab.value(search.format(words, SHOWN)) == count
        assert tab.value("document.getElementById('star-count').textContent") == f"{count} of 40 stars"
    assert not tab.errors()


@pytest.mark.parametrize("page", ["miles", "index"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_window_needs_no_scrolling_sideways(tab, pages, page, scheme):
    tab.open(pages / f"{page}.html", width=400, prefers_color_scheme=scheme)
    assert tab.value("document.documentElement.scrollWidth") <= 400 and not tab.errors()
    ground = tab.value("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(20, 23, 27)") is (scheme == "dark")


def test_a_page_without_its_assets_says_what_is_missing(tab, pages, tmp_path):
    alone = shutil.copy(pages / "miles.html", tmp_path / "alone.html")
    tab.open(Path(alone))
    tab.value("document.querySelector('button[data-star=\"0\"]').click()")
    told = tab.until(
        "!document.getElementById('star-note').hidden && document.getElementById('star-note').textContent"
    )
    assert tab.value("document.getElementById('star-figure').hidden")
    assert "assets/plotly.min.js is missing" in told and tab.value(SHOWN) == 40


def test_spectra_of_another_run_are_not_drawn(tab, pages):
    for path in (pages / "assets" / "miles").iterdir():
        path.write_text(path.read_text().replace('"key":"', '"key":"x'))
    tab.open(pages / "miles.html")
    tab.value("document.querySelector('button[data-star=\"0\"]').click()")
    told = tab.until(
        "!document.getElementById('star-note').hidden && document.getElementById('star-note').textContent"
    )
    assert "belong to another page" in told


def test_it_prints(tab, pages):
    tab.open(pages / "miles.html")
    assert len(tab.call("Page.printToPDF")["data"]) > 10_000
