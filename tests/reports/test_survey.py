import copy
import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from synth2obs.core.errors import DataError
from synth2obs.reports.figures import figures
from synth2obs.reports.results import METHODS
from synth2obs.reports.sections import SECTIONS
from synth2obs.reports.survey import rebuild, render, write_report
from synth2obs.reports.templating import page_script

HOSTILE = "</script><script>alert(1)</script>"


class Page(HTMLParser):
    """What a browser would make of a page: tags with attributes, and text outside scripts."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self._inside = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside not in ("script", "style"):
            self.text.append(data)

    def count(self, tag):
        return sum(name == tag for name, _ in self.tags)

    def words(self):
        return " ".join(" ".join(self.text).replace("\u00a0", " ").split())


def nothing(value):
    """The same tables with null in place of every number and list."""
    if isinstance(value, dict):
        return {key: nothing(inner) for key, inner in value.items()}
    return value if isinstance(value, str) else None


@pytest.fixture
def store(tmp_path, metrics, arrays):
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    (tmp_path / "evaluation").mkdir()
    np.savez(tmp_path / "evaluation" / "miles.npz", **arrays)
    return tmp_path


@pytest.fixture(scope="module")
def drawn():
    return {}


@pytest.fixture
def page(metrics, arrays, drawn):
    # Drawing costs a second; the invented evaluation is the same for every test.
    if "page" not in drawn:
        drawn["text"] = render(metrics, arrays, "miles")
        drawn["page"] = Page(drawn["text"])
    return drawn["page"]


def test_needs_no_network(page, drawn):
    links = [
        v
        for _, attrs in page.tags
        for k, v in attrs.items()
        if k in ("src", "href", "data", "action", "srcset")
    ]
    assert links and all(link.startswith(("data:image/svg+xml;", "#")) for link in links)
    assert not {"link", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.tags}
    style = re.search("<style>(.*?)</style>", drawn["text"], re.S).group(1)
    assert "url(" not in style and "@import" not in style
    policy = next(a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a)
    assert "default-src 'none'" in policy and "http" not in policy


def test_cannot_send_data_away(drawn):
    assert 'modeBarButtonsToRemove: ["sendChartToCloud"' in drawn["text"]
    assert "displaylogo: false" in drawn["text"] and "http" not in page_script()["script"]


def test_only_our_own_script_may_run_inside_the_page(page):
    policy = next(a["content"] for t, a in page.tags if t == "meta" and "http-equiv" in a)
    (allowed,) = [part for part in policy.split("; ") if part.startswith("script-src")]
    assert allowed == f"script-src 'self' '{page_script()['script_digest']}'"
    handlers = {name for _, attrs in page.tags for name in attrs if name.startswith("on")}
    assert not handlers and page.count("script") == 2


def test_everything_has_a_name_for_who_cannot_see_it(page):
    names = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    assert len(names) == sum("id" in attrs for _, attrs in page.tags), "an id occurs twice"
    for tag, attrs in page.tags:
        if tag in ("table", "nav", "img") or attrs.get("role") in ("region", "img"):
            assert attrs.get("aria-label") or attrs.get("alt"), (tag, attrs)
    labelled = {attrs["for"] for tag, attrs in page.tags if tag == "label"}
    for tag, attrs in page.tags:
        if tag in ("input", "select"):
            assert attrs["id"] in labelled or attrs.get("aria-label")


def test_has_every_section_in_order_and_a_way_to_each(page):
    anchors = [attrs["id"] for tag, attrs in page.tags if tag in ("header", "section")]
    assert anchors == ["headline", *(anchor for anchor, _, _ in SECTIONS), "run"]
    assert [attrs["href"] for tag, attrs in page.tags if tag == "a"] == ["#main", *(f"#{a}" for a in anchors)]


def test_every_figure_is_on_the_page_with_a_caption(page, metrics, arrays):
    names = figures(metrics, arrays, "miles")
    images = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(images) == len(names) == 13
    assert all(len(image["alt"]) > 60 for image in images)
    assert page.count("figcaption") == len(images) + 2


def test_numbers_of_the_metrics_are_on_the_page(page):
    words = page.words()
    for text in (
        "2.02",
        "1.04",
        "+83",
        "1.034 ± 0.012",
        "ab" * 32,
        "2.13.0",
        "413 s (6.9 min)",
        "stelib",
        '"latent_dim": 24',
    ):
        assert text in words, text
    best = [attrs for tag, attrs in page.tags if attrs.get("class") == "best"]
    assert len(best) == 20


def test_draws_with_no_global_state(metrics, arrays):
    import matplotlib

    before = dict(matplotlib.rcParams)
    figures(metrics, arrays, "miles")
    assert dict(matplotlib.rcParams) == before


def test_light_to_import():
    code = "import sys, synth2obs.reports.survey, synth2obs.reports.console as c; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "mlflow", "astropy", "h5py", "plotly", "matplotlib.pyplot"} & set(
        done.stdout.split()
    )


def test_hostile_texts_stay_text(metrics, arrays):
    arrays["example_id"] = np.array([HOSTILE, "<a href='http://x'>y</a>"])
    arrays["gap_slope_names"] = np.array([r"$\frac{", HOSTILE])
    for name in ("test_id", "test_outside", "latent_labels", "latent_elements", "latent_line_name"):
        arrays[name] = np.full(arrays[name].shape, HOSTILE)
    row = metrics["surveys"]["miles"]
    row["gap"]["lines"][0]["element"] = "$_{<b>"
    row["same_star"]["with"] = HOSTILE
    metrics["run"] |= {"config": {HOSTILE: HOSTILE}, "git_commit": HOSTILE, "versions": {HOSTILE: HOSTILE}}
    metrics["run"]["started"] = HOSTILE
    page = Page(render(metrics, arrays, "miles"))
    assert page.count("script") == 2
    assert HOSTILE in page.words()
    assert not any(attrs.get("href", "#").startswith("http") for _, attrs in page.tags)


def test_nothing_measured_is_still_a_page(metrics, arrays):
    empty = nothing(metrics)
    assert empty["surveys"]["miles"]["gap"]["lines"] is None
    blank = {
        k: v if v.dtype.kind == "U" or k == "wavelength" else np.full(v.shape, np.nan)
        for k, v in arrays.items()
    }
    for held in (blank, {}):
        page = Page(render(empty, held, "miles"))
        assert "not measured" in page.words() and "nan" not in page.words().lower() and page.count("img") == 0


@pytest.mark.parametrize("gone", [("surveys", "miles"), ("placebo",), ("decoder",), ("run",)])
def test_missing_tables_are_missing_measurements(metrics, gone):
    table = metrics["surveys"] if len(gone) == 2 else metrics
    table[gone[-1]] = {} if len(gone) == 2 else None
    assert Page(render(metrics, {}, "miles")).count("section") == len(SECTIONS) + 1


@pytest.mark.parametrize(
    "name", ["labels_true", "example_sigma", "gap_error", "chi2_theory", "snr", "labels_theory"]
)
def test_any_array_may_be_left_out(metrics, arrays, name):
    assert "spectrum_1" in figures(metrics, {k: v for k, v in arrays.items() if k != name}, "miles")


def test_no_significant_line_is_not_the_same_as_not_measured(metrics):
    metrics["surveys"]["miles"]["gap"]["lines"] = []
    assert "No line of the gap is significant." in Page(render(metrics, {}, "miles")).words()


def test_says_why_something_is_missing(metrics):
    metrics["surveys"]["miles"]["same_star"] = None
    metrics["run"]["reasons"] = {"miles": {"same_star": "stelib was left out"}}
    words = Page(render(metrics, {}, "miles")).words()
    assert "Same star in two telescopes: not measured (stelib was left out)." in words
    assert "Numbers only." in words


def test_rebuild_gives_the_same_bytes(store):
    first = [path.read_bytes() for path in rebuild(store)]
    again = rebuild(store, store / "elsewhere")
    assert [path.name for path in again] == ["miles.html", "stelib.html", "index.html"]
    assert [path.read_bytes() for path in again] == first
    found = {
        str(p.relative_to(store / "report")): p.read_bytes()
        for p in (store / "report").rglob("*")
        if p.is_file()
    }
    stars = [f"assets/miles/stars-{k:03d}.js" for k in range(3)]
    assert set(found) == {"miles.html", "stelib.html", "index.html", "assets/plotly.min.js", *stars}
    for name, content in found.items():
        assert (store / "elsewhere" / name).read_bytes() == content


def test_rebuild_writes_nothing_if_one_file_is_bad(store):
    (store / "evaluation" / "stelib.npz").write_bytes(b"short")
    with pytest.raises(DataError, match="stelib.npz"):
        rebuild(store)
    assert not (store / "report").exists()


def test_unknown_survey_is_refused_with_the_known_ones(tmp_path, metrics, arrays):
    with pytest.raises(DataError, match="no survey 'apogee'.*choose one of: miles, stelib"):
        write_report(metrics, arrays, "apogee", tmp_path / "apogee.html")


def test_input_is_left_alone(metrics, arrays):
    kept, frozen = copy.deepcopy(metrics), {name: array.copy() for name, array in arrays.items()}
    figures(metrics, arrays, "miles")
    render(metrics, {}, "miles")
    assert metrics == kept
    assert all(np.array_equal(arrays[k], frozen[k], equal_nan=arrays[k].dtype.kind == "f") for k in arrays)


def test_infrared_surveys_get_their_own_lines(metrics, arrays):
    arrays["wavelength"] = np.linspace(15100.0, 17000.0, arrays["wavelength"].size)
    titles = [axes.get_title(loc="left") for axes in figures(metrics, arrays, "miles")["strong_lines"].axes]
    assert [t for t in titles if t] == ["Mg I (H band)", "Al I (H band)", "Br 11"]
    arrays["wavelength"] = np.linspace(22000.0, 23000.0, arrays["wavelength"].size)
    assert "strong_lines" not in figures(metrics, arrays, "miles")


def test_methods_have_colours():
    from synth2obs.reports.style import COLOURS

    assert METHODS.keys() <= COLOURS.keys() and len({COLOURS[m] for m in METHODS}) == len(METHODS)
