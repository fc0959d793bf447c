"""The benchmarks: their truth, their clocks, what they do about peers that are missing, and the command itself."""

import gc
import json
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.append(str(Path(__file__).parents[1] / "experiments"))

from benchmarks import ours, report, run
from benchmarks.memory import peak_memory
from benchmarks.observed import prepare
from benchmarks.peers import RVSPECFIT, SPECTRES, quiet
from benchmarks.peers.curve_fit import OurModel, fit_star, payne_model
from benchmarks.peers.networks import CYCLE_PIXELS, CycleStarNet, SirenGon
from benchmarks.peers.operators import OPERATORS, Peer
from benchmarks.peers.payne import Batched, random_payne
from benchmarks.scenes import SURVEYS, make_scene
from benchmarks.tables import Setting, operators, threads_limited
from benchmarks.tables.gradients import differentiable
from benchmarks.tables.scaling import straight
from benchmarks.timing import timed
from benchmarks.truth import Lines, check_truth, random_lines, random_stars
from benchmarks.worlds import QUICK, SURVEY, make_world

ROOT = Path(__file__).parents[1]
CPU = torch.device("cpu")
CHEAP = ("operator", "sampling", "generate", "fit", "scaling")
LIGHT = {"synth2obs", "FFT + gather", "spectres"}
"""Peers that load little, one of them a package."""

MEDIAN_ERROR = {
    "synth2obs": 1e-6,
    "conv1d + gather": 1e-3,
    "FFT + gather": 1e-3,
    "spender transform": 2e-3,
    "rvspecfit rebin + spline": 1e-3,
    "rvspecfit spline + matrix": 2e-3,
    "specutils linear": 2e-3,
    "specutils flux-conserving": 1e-3,
    "spectres": 1e-3,
    "PyAstronomy broaden": 2e-3,
}
"""What ±15 % of line spread, samples instead of pixels, or a wrong order cost at most."""


@pytest.fixture(scope="module")
def scene():
    return make_scene("tiny", 4096)


@pytest.fixture(scope="module")
def world():
    return make_world(QUICK)


@pytest.fixture
def few_peers(monkeypatch):
    """Only peers that load nothing heavy, and one package."""
    for name in OPERATORS.keys() - LIGHT:
        monkeypatch.delitem(OPERATORS, name)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The JSON of the command, over tables and peers that load nothing heavy."""
    out = tmp_path_factory.mktemp("benchmarks") / "quick.json"
    names = [word for name in CHEAP for word in ("--only", name)]
    with pytest.MonkeyPatch.context() as patch:
        for name in OPERATORS.keys() - LIGHT:
            patch.delitem(OPERATORS, name)
        run.main([*names, "--quick", "--repeats", "1", "--out", str(out)])
    return out


class TestTruth:
    def test_closed_form_is_the_integral(self, scene):
        assert check_truth(scene) < 1e-10

    def test_what_the_coordinate_of_the_gaussian_amounts_to(self, scene):
        assert 1e-8 < check_truth(scene, in_angstrom=True) < 1e-5

    def test_pixels_hold_all_of_a_line(self):
        edges = np.linspace(-0.02, 0.02, 400)
        lines = Lines(np.array([0.001]), np.array([2e-4]))
        seen = lines.seen(edges[:-1], edges[1:], 100.0, 5e-4)
        assert (seen.toarray()[:, 0] @ np.diff(edges)) == pytest.approx(2e-4 * np.sqrt(2 * np.pi), rel=1e-12)

    def test_narrow_pixels_without_line_spread_are_samples(self, scene):
        lines = random_lines(scene, np.random.default_rng(0))
        x = np.log(scene.rest[1000:3000:7])
        difference = lines.seen(x - 1e-9, x + 1e-9, 0.0, 0.0) - lines.sampled(x)
        assert abs(difference).max() < 1e-6

    @pytest.mark.parametrize("survey", SURVEYS)
    def test_rest_grids_reach_beyond_the_fastest_star(self, survey):
        scene = make_scene(survey, 4096)
        lower, upper = scene.edges
        reach = 150.0 / 2.9979e5 + 8 * (scene.sigma / scene.wavelength).max()
        assert np.log(scene.rest[0]) < lower.min() - reach and np.log(scene.rest[-1]) > upper.max() + reach

    def test_line_spread_varies_by_as_much_as_it_says(self):
        ratio = make_scene("galah", 64).sigma / make_scene("galah", 64, variation=0.0).sigma
        assert ratio.min() == pytest.approx(0.85) and ratio.max() == pytest.approx(1.15)


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_sees_the_same_stars(name, scene):
    if OPERATORS[name].missing:
        pytest.skip(OPERATORS[name].missing)
    stars = random_stars(scene, 3)
    with quiet(), torch.no_grad():
        operator = OPERATORS[name].build(scene, CPU)
        flux, rv = torch.from_numpy(stars.flux), torch.from_numpy(stars.rv)
        error = np.abs(operator(flux, rv, flux.new_ones(())).numpy() - stars.pixels)[:, scene.inner]
    assert np.median(error) < MEDIAN_ERROR[name]
    assert name != "synth2obs" or error.max() < 1e-5


class TestGradients:
    def test_ours_has_all(self):
        assert differentiable(lambda scene: ours.operator(scene, CPU)) == "flux, velocity, width"

    def test_a_wrong_gradient_is_not_listed(self):
        def build(scene):
            operator = ours.operator(scene, CPU)
            return lambda flux, rv, width: operator(flux, rv + 0.01 * (rv - rv.detach()), width)

        assert differentiable(build) == "flux, width"

    def test_no_gradient_is_none(self):
        def build(scene):
            operator = ours.operator(scene, CPU)
            return lambda *arguments: operator(*arguments).detach()

        assert differentiable(build) == "none"


class TestPeersThatAreNotThere:
    SMALL = Setting(quick=True, repeats=1, dtypes=("float64",))

    def row(self, name):
        table = operators.measure(self.SMALL)
        assert any(row.get("rate_1") for row in table.rows if row["method"] == "synth2obs")
        return next(row for row in table.rows if row["method"] == name)

    def test_a_missing_package_has_a_row_that_says_how_to_get_it(self, few_peers, monkeypatch):
        monkeypatch.setitem(sys.modules, "spectres", None)
        row = self.row("spectres")
        assert "not installed" in row["note"] and "pip install spectres" in row["note"]
        assert "rate_1" not in row

    def test_a_broken_package_spoils_its_own_row_alone(self, few_peers, monkeypatch):
        def broken(scene, device):
            if scene.name == "tiny":
                raise TypeError("their new argument")

        monkeypatch.setitem(OPERATORS, "spectres", Peer(broken, "", needs=SPECTRES))
        monkeypatch.setattr(operators, "_gradients", lambda peer: "")
        monkeypatch.setitem(sys.modules, "spectres", sys)
        assert self.row("spectres")["note"] == "failed: TypeError: their new argument"

    def test_a_failure_of_ours_is_not_hidden(self, few_peers, monkeypatch):
        def broken(scene, device):
            raise TypeError("ours")

        monkeypatch.setattr(operators, "_gradients", lambda peer: "")
        monkeypatch.setitem(OPERATORS, "synth2obs", Peer(broken, ""))
        with pytest.raises(TypeError, match="ours"):
            operators.measure(self.SMALL)

    def test_a_batch_beyond_the_memory_is_left_out(self, few_peers):
        table = operators.measure(Setting(quick=True, repeats=1, dtypes=("float64",), memory=1e-9))
        row = next(row for row in table.rows if row["method"] == "synth2obs")
        assert "GiB" in row["rate_1"] and row["median_error"] < 1e-6


class TestClocks:
    def test_sleep_takes_time_but_no_processor(self):
        timing = timed(lambda: time.sleep(0.03), 3)
        assert 0.03 <= timing.wall < 0.3 and timing.cpu < 0.02 and timing.repeats == 3

    def test_short_calls_are_repeated_and_the_collector_comes_back(self):
        calls = []
        timing = timed(lambda: calls.append(gc.isenabled()), 2)
        assert gc.isenabled() and len(calls) > 3 and not any(calls[1:])
        assert timing.wall < 1e-3

    def test_a_limit_lowers_the_repeats(self, monkeypatch):
        """By a clock of its own: a busy machine sleeps longer than it is told."""
        clock = [0.0]

        def call():
            clock[0] += 0.05

        monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
        assert timed(call, 10, limit=0.11).repeats == 2

    def test_threads_come_back(self):
        before = torch.get_num_threads()
        with threads_limited(before + 1):
            assert torch.get_num_threads() == before + 1
        assert torch.get_num_threads() == before

    def test_peak_memory_is_that_of_the_call(self):
        small, large = (peak_memory(lambda n=n: torch.ones(n * 2**18).sum()) for n in (16, 96))
        if small is None or large is None:
            pytest.skip("the kernel does not tell")
        assert large - small == pytest.approx(80.0, abs=12.0)

    def test_a_straight_line(self):
        x = [1.0, 2.0, 4.0, 8.0]
        assert straight(x, [3.0, 6.0, 12.0, 24.0]) == pytest.approx((3.0, 0.0, 1.0), abs=1e-12)
        slope, residual, power = straight(x, [value**2 for value in x])
        assert residual > 0.05 and power == pytest.approx(2.0)


class TestWorld:
    def test_ours_is_exact(self, world):
        labels, rv = world.labels(3), np.array([-140.0, 0.0, 90.0])
        error = np.abs(ours.generate(world.bridge, labels, rv, SURVEY) - world.pixels(labels, rv))
        assert np.median(error) < 1e-6 and error[:, world.scene.inner].max() < 1e-5

    def test_morph_and_gap_are_not_the_identity(self, world):
        labels = world.labels(3)
        plain = world.bridge.predict(labels, SURVEY, morphed=False)
        assert np.abs(plain - world.bridge.predict(labels, SURVEY)).max() > 0.01

    def test_noise_is_what_the_errors_say(self, world):
        stars = prepare(world, 6, snr=50.0)
        relative = (stars.flux - prepare(world, 6, snr=1e6).flux) * np.sqrt(stars.ivar)
        assert relative.std() == pytest.approx(1.0, abs=0.05)

    def test_encoding_reaches_the_noise(self, world):
        stars = prepare(world, 4)
        found = ours.encode(world.bridge, ours.observation(world.bridge, SURVEY, stars.spectra))
        assert np.median(found.chi2_per_pixel) < 1.2 and np.abs(found.rv - stars.rv).max() < 3.0


class TestRebuiltPeers:
    def test_the_payne_at_rest_is_its_closed_form(self):
        net = random_payne(make_scene("apogee", 4096, pixels=300))
        labels = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 25))
        exact = net.exact(labels, np.zeros(2))
        assert np.abs(net.spectrum(labels[0]) - exact[0]).max() < 1e-5
        batched = Batched(net)(torch.from_numpy(labels), torch.tensor([0.0, 70.0])).numpy()
        assert np.abs(batched[0] - exact[0])[:-1].max() < 1e-5
        assert np.abs(batched[1] - net.shifted(labels[1], 70.0)).max() < 1e-3

    def test_its_labels_in_float64_make_all_of_it_float64(self):
        net = random_payne(make_scene("apogee", 4096, pixels=60))
        labels = np.zeros(25)
        assert net.spectrum(labels).dtype == np.float64
        assert net.spectrum(labels.astype(np.float32)).dtype == np.float32

    def test_its_fit_finds_its_own_stars(self):
        net = random_payne(make_scene("apogee", 4096, pixels=400), labels=3, hidden=20)
        labels, sigma = np.array([0.2, -0.1, 0.3]), np.full(400, 0.01)
        flux = net.exact(labels[None], np.array([12.0]))[0]
        found = fit_star(payne_model(net), flux, sigma, 3)
        assert np.abs(found.scaled - labels).max() < 0.02 and found.rv == pytest.approx(12.0, abs=0.3)

    def test_our_model_in_its_hands_is_our_model(self, world):
        model, labels = OurModel(world), world.labels(1)
        span = world.bridge.labels.upper - world.bridge.labels.lower
        scaled = (labels[0] - world.bridge.labels.lower) / span - 0.5
        exact = world.pixels(labels, np.zeros(1))[0]
        found = model(scaled, 0.0, exact, np.full(len(exact), 0.01))
        assert np.abs(found - exact).max() < 1e-4

    def test_networks_have_their_published_sizes(self):
        network = CycleStarNet()
        latent = network.shared_encoder(network.encoder(torch.zeros(1, 1, CYCLE_PIXELS)))
        assert latent.shape == (1, 25, 24) and network(torch.zeros(2, CYCLE_PIXELS)).shape == (
            2,
            CYCLE_PIXELS,
        )
        assert sum(p.numel() for p in network.parameters()) == pytest.approx(2.5e6, rel=0.05)
        gon = SirenGon(50, 32)
        assert sum(p.numel() for p in gon.parameters()) == 33 * 256 + 256 + 3 * (256 * 256 + 256) + 257

    def test_an_origin_step_is_minus_the_gradient(self):
        torch.manual_seed(0)
        gon = SirenGon(20, 3, width=16).double()
        flux, step = torch.rand(1, 20, dtype=torch.float64), 1e-6

        def loss(u):
            return (gon(u) - flux).square().sum().item()

        numeric = [(loss(step * e[None]) - loss(-step * e[None])) / (2 * step) for e in torch.eye(3).double()]
        assert gon.encode(flux)[0].tolist() == pytest.approx([-value for value in numeric], rel=1e-5)

    def test_a_training_step_lowers_the_error(self):
        torch.manual_seed(0)
        gon, flux = SirenGon(40, 4, width=32), torch.rand(3, 40)
        optimizer = torch.optim.Adam(gon.parameters(), lr=1e-3)
        before = (gon(gon.encode(flux)) - flux).square().mean().item()
        for _ in range(20):
            gon.train_step(flux, optimizer)
        assert (gon(gon.encode(flux)) - flux).square().mean().item() < 0.5 * before

    @pytest.mark.skipif(bool(RVSPECFIT.missing), reason=RVSPECFIT.missing or "installed")
    def test_a_spline_larger_than_the_usual_stack(self):
        scene = make_scene("apogee", 300_000, pixels=200)
        stars = random_stars(scene, 1)
        operator = OPERATORS["rvspecfit spline + matrix"].build(scene, CPU)
        seen = operator(torch.from_numpy(stars.flux), torch.from_numpy(stars.rv), torch.ones(()))
        assert np.median(np.abs(seen.numpy() - stars.pixels)) < 1e-2


class TestReport:
    TABLE = report.Table(
        "Title",
        "A note.",
        [report.Column("a", "a"), report.Column("b", "b", "rate"), report.Column("c", "c", "error")],
        [{"g": "x", "a": "one", "b": 12345.6, "c": 1.234e-7}, {"g": "y", "a": "two", "b": "too slow"}],
        {"fact": 0.12345},
        [report.Column("g", "group")],
    )

    def test_text(self):
        lines = report.text(self.TABLE).splitlines()
        assert (
            lines[0] == "Title" and lines[1] == "group x" and lines[3].split() == ["one", "12,346", "1.2e-07"]
        )
        assert lines[-2:] == ["A note.", "fact: 0.123."]

    def test_markdown(self):
        lines = report.markdown(self.TABLE).splitlines()
        assert (
            "| one | 12,346 | 1.2e-07 |" in lines
            and "| two | too slow |  |" in lines
            and "**group y**" in lines
        )

    def test_json_keeps_all(self):
        again = report.Table.from_json(json.loads(json.dumps(self.TABLE.as_json())))
        assert report.text(again) == report.text(self.TABLE)

    def test_insert(self):
        document = "before\n<!-- x -->\nold\n<!-- /x -->\nafter\n"
        once = report.insert(document, "x", "new\n")
        assert (
            once == "before\n<!-- x -->\n\nnew\n\n<!-- /x -->\nafter\n" == report.insert(once, "x", "new\n")
        )
        with pytest.raises(ValueError, match="no place for 'y'"):
            report.insert(document, "y", "new")


class TestCommand:
    def test_json_has_what_was_asked_for(self, results):
        content = json.loads(results.read_text())
        assert content["format"] == run.FORMAT and set(content["tables"]) == set(CHEAP)
        assert content["environment"]["torch"] == torch.__version__ and content["environment"]["cpu"]
        setting = content["tables"]["fit"]["setting"]
        assert setting["quick"] is True and setting["threads"] == [1]
        assert results.with_suffix(".png").stat().st_size > 10_000

    def test_every_rate_has_its_error(self, results):
        tables = json.loads(results.read_text())["tables"]
        for row in tables["operator"]["rows"] + tables["generate"]["rows"]:
            if "rate_1" in row:
                assert 0 <= row["median_error"] <= row["max_error"] < 0.2 and row["rate_1"] > 0
        for row in tables["fit"]["rows"]:
            assert row["rate"] > 0 and 0.5 < row["chi2_median"] < 1.5

    def test_ours_stands_first_and_is_exact(self, results):
        tables = json.loads(results.read_text())["tables"]
        for name in ("operator", "generate"):
            row = tables[name]["rows"][0]
            assert row["method"] == "synth2obs" and row["ours_over"] == 1.0
            assert row["median_error"] < 1e-6 and row["max_error"] < 1e-5

    def test_sampling_says_where_it_fails(self, results):
        rows = json.loads(results.read_text())["tables"]["sampling"]["rows"]
        wide = [row for row in rows if row["line"] == 2.0 and row["applied"] >= 1.0]
        narrow = [row for row in rows if row["applied"] == 0.05 and row["line"] < 1.0]
        assert max(row["float64"] for row in wide) < 1e-6 < 1e-3 < max(row["float64"] for row in narrow)

    def test_a_later_run_keeps_the_other_tables(self, results, tmp_path, capsys):
        out = tmp_path / "more.json"
        out.write_text(results.read_text())
        run.main(["--only", "layers", "--quick", "--repeats", "1", "--out", str(out)])
        assert set(json.loads(out.read_text())["tables"]) == {*CHEAP, "layers"}
        out.write_text(results.read_text().replace(torch.__version__, "0.1"))
        run.main(["--only", "layers", "--quick", "--repeats", "1", "--out", str(out)])
        assert set(json.loads(out.read_text())["tables"]) == {"layers"}
        assert "Layers" in capsys.readouterr().out

    def test_reading_prints_the_same_tables(self, results, tmp_path, capsys):
        run.main(["--read", str(results), "--only", "sampling", "--markdown"])
        printed = capsys.readouterr().out.strip()
        document = tmp_path / "document.md"
        document.write_text("<!-- sampling -->\n<!-- /sampling -->\n")
        run.main(["--read", str(results), "--only", "sampling", "--into", str(document)])
        assert printed.startswith("### Sampling") and printed in document.read_text()

    @pytest.mark.parametrize("words", [["--dtype", "float16"], ["--surveys", "hubble"], ["--threads", "0"]])
    def test_what_it_does_not_know_is_refused(self, words):
        with pytest.raises(ValueError, match=r"must be"):
            run.setting_of(run.parse(words))

    def test_the_documentation_has_a_place_for_every_table(self):
        document = (ROOT / "docs" / "benchmarks.md").read_text()
        for name in run.TABLES:
            assert f"<!-- {name} -->" in report.insert(document, name, "")


@pytest.mark.slow
def test_the_whole_command(tmp_path):
    out = tmp_path / "quick.json"
    run.main(["--quick", "--repeats", "1", "--threads", "1,2", "--out", str(out)])
    tables = json.loads(out.read_text())["tables"]
    assert set(tables) == set(run.TABLES)
    assert not [row["note"] for row in tables["operator"]["rows"] if row["note"].startswith("failed")]
    assert {row["threads"] for row in tables["generate"]["rows"] if "threads" in row} == {1, 2}
