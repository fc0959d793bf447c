"""What the latents mean, the surveys of a run side by side, and the page that leads to them."""

import base64

import numpy as np

from synth2obs.reports.across import surveys_compared
from synth2obs.reports.content import Embedded, Note, PageTable
from synth2obs.reports.figures import figures
from synth2obs.reports.index_page import render_index
from synth2obs.reports.latent_sections import latent_data, meaning
from synth2obs.reports.material import Material


def material(arrays):
    return Material({"surveys": {}}, {}, arrays, {}, "miles", "miles")


class TestMeaning:
    def test_every_latent_is_described(self, arrays):
        blocks = meaning(material(arrays))
        (table,) = [block for block in blocks if isinstance(block, PageTable)]
        (choice,) = [block for block in blocks if isinstance(block, Embedded)]
        size = np.square(arrays["latent_response"]).mean(1)
        assert len(table.rows) == 8 and choice.html.count("<option") == 8
        assert f'<option value="{int(np.argmax(size))}" selected>' in choice.html
        words = {row[0].text: [each.text for each in row[1:]] for row in table.rows}["latent 0"]
        best = int(np.argmax(arrays["latent_r2"][0]))
        assert words[2].startswith(str(arrays["latent_elements"][best])) and words[3] == "3700 Mg"
        largest = int(np.argmax(np.abs(arrays["latent_correlation"][0])))
        assert words[1].startswith(str(arrays["latent_labels"][largest]))

    def test_responses_come_back_to_a_part_in_thirty_thousand(self, arrays):
        data = latent_data(arrays)
        for row, unit, text in zip(arrays["latent_response"], data["units"], data["response"], strict=True):
            back = unit * np.frombuffer(base64.b64decode(text), "<i2")
            assert np.abs(back - row).max() < 1e-4 * np.abs(row).max()
        assert data["lines"][0] == [(3700.0, -0.05, "Mg")]

    def test_an_older_evaluation_says_so(self):
        (note,) = meaning(material({}))
        assert isinstance(note, Note) and "earlier version" in note.text and latent_data({}) is None

    def test_the_map_has_a_row_more_than_latents(self, metrics, arrays):
        axes = figures(metrics, arrays, "miles")["latent_elements"].axes[0]
        assert [label.get_text() for label in axes.get_yticklabels()] == [*map(str, range(8)), "all"]
        assert [label.get_text() for label in axes.get_xticklabels()] == ["Mg", "Ca", "Ti", "Ni", "Ba"]


class TestKiel:
    def test_both_axes_run_backwards_and_lines_lead_to_the_fit(self, metrics, arrays):
        left, right, _ = figures(metrics, arrays, "miles")["kiel"].axes
        for axes in (left, right):
            assert axes.get_xlim()[0] > axes.get_xlim()[1] and axes.get_ylim()[0] > axes.get_ylim()[1]
        segments = right.collections[0].get_segments()
        np.testing.assert_allclose(segments[0], [arrays["labels_true"][0, :2], arrays["labels_morph"][0, :2]])
        assert len(segments) == 40

    def test_without_literature_there_is_one_panel(self, metrics, arrays):
        del arrays["labels_true"]
        assert len(figures(metrics, arrays, "miles")["kiel"].axes) == 2
        del arrays["labels_morph"]
        assert "kiel" not in figures(metrics, arrays, "miles")


class TestSurveys:
    def test_each_has_a_row_with_errors_and_verdict(self, metrics):
        metrics["verdict"] = {"status": "WARN", "surveys": {"miles": "WARN"}, "checks": []}
        _, table = surveys_compared(metrics, "miles")
        first, second = table.rows
        assert [cell.text for cell in first[:3]] == ["miles (this page)", "!\u00a0warns", "40"]
        assert second[0].text == "stelib" and second[1].text == "—"
        assert first[4].text == "2.02 ± 0.05" and first[7].text == "+9 ± 20"

    def test_one_alone_is_not_compared(self, metrics):
        del metrics["surveys"]["stelib"]
        assert surveys_compared(metrics, "miles") == []
        assert "side by side" not in render_index(metrics) and 'href="miles.html"' in render_index(metrics)

    def test_the_index_leads_to_all_with_verdict_and_numbers(self, metrics):
        metrics["verdict"] = {"status": "FAIL", "surveys": {"miles": "PASS", "stelib": "FAIL"}, "checks": []}
        text = render_index(metrics)
        for name, words in (("miles", "✓ pass"), ("stelib", "✗ fails")):
            assert f'href="{name}.html"' in text and words in text
        assert "✗ FAIL" in text and "2.02 ± 0.05" in text and "script" not in text
