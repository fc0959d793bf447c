"""Every test star on its page: rows and warnings in words, spectra beside the page."""

import base64
import json
import re

import numpy as np
import pytest

from synth2obs.core.errors import DataError
from synth2obs.reports.assets import star_files, write_assets
from synth2obs.reports.checks import check_arrays
from synth2obs.reports.content import Note, PageTable
from synth2obs.reports.material import Material
from synth2obs.reports.star_rows import MOST, flag_words, star_rows
from synth2obs.reports.star_sections import every_star, not_described, star_data


def material(arrays):
    return Material({"surveys": {}}, {}, arrays, {}, "miles", "miles")


class TestRows:
    def test_the_worst_fit_stands_first_with_its_numbers(self, arrays):
        rows = star_rows(arrays)
        chi2 = [float(row.chi2) for row in rows]
        assert len(rows) == 40 and chi2 == sorted(chi2, reverse=True) and rows[0].id == "star 3"
        assert rows[0].flags == "poor fit; few good pixels" and rows[0].chi2_theory == "7.80"
        assert rows[0].fitted[0].startswith(f"{arrays['labels_morph'][3, 0]:.0f} ± ")
        assert rows[0].literature[0] == f"{arrays['labels_true'][3, 0]:.0f}" and rows[0].spectrum == 3

    def test_what_is_not_known_is_a_dash(self, arrays):
        unknown = [row for row in star_rows(arrays) if not row.known]
        assert len(unknown) == 3 and all(row.literature[2] == "—" for row in unknown)
        bare = star_rows({"test_id": np.array(["a"])})[0]
        assert bare.fitted == ("—", "—", "—") and bare.chi2 == bare.snr == bare.good == "—" and not bare.flags
        assert bare.spectrum is None and star_rows({}) == []

    def test_an_older_evaluation_has_the_residual_at_literature_labels(self, arrays):
        del arrays["chi2_free_morph"]
        assert star_rows(arrays)[0].chi2 == f"{arrays['chi2_morph_star'].max():.2f}"

    def test_flags_in_words(self):
        assert flag_words(0) == ""
        assert (
            flag_words(1, "logg, fe_h") == "outside the grid: logg, fe_h"
            and flag_words(1) == "outside the grid"
        )
        assert flag_words(2 | 64) == "poor fit; far from the grid"


class TestSections:
    def test_stars_to_beware_of_say_why_and_are_counted(self, arrays):
        lead, table = not_described(material(arrays))
        kinds = ["2 × poor fit", "1 × few good pixels", "1 × outside the grid"]
        kinds.append("1 × far from the grid")
        assert lead.text.startswith("4 of 40 test stars carry a warning: ")
        assert sorted(re.findall(r"\d+ × [^,.]+", lead.text)) == sorted(kinds)
        assert "3 have no literature labels" in lead.text
        assert isinstance(table, PageTable) and [row[0].text for row in table.rows][:2] == [
            "star 3",
            "star 0",
        ]
        assert "outside the grid: logg, fe_h" in {row[1].text for row in table.rows}

    def test_no_star_to_beware_of_is_said(self, arrays):
        arrays["test_flags"][:] = 0
        assert "No test star has a flag." in [
            b.text for b in not_described(material(arrays)) if isinstance(b, Note)
        ]

    def test_many_stars_are_listed_as_far_as_a_page_holds_them(self, arrays):
        stars = MOST + 5
        many = {
            "test_id": np.array([f"s{k}" for k in range(stars)]),
            "chi2_free_morph": np.arange(stars) * 1.0,
        }
        html = every_star(material(many))[1].html
        assert (
            html.count("<tr data-facts") == MOST and f"Of {stars} stars the {MOST} of the largest χ²" in html
        )

    def test_without_spectra_there_is_still_a_table(self, arrays):
        del arrays["spectra_star"]
        html = every_star(material(arrays))[1].html
        assert html.count("<tr data-facts") == 40 and "Spectra: not kept" in html and "<button" not in html

    def test_few_spectra_are_said_to_be_few(self, arrays):
        assert "Spectra of the 39 stars of the largest χ² were kept." in every_star(material(arrays))[1].html


class TestAssets:
    def told(self, text):
        return json.loads(re.fullmatch(r"synth2obsStars\((.*)\);\n", text)[1])

    def test_spectra_come_back_as_they_were(self, arrays):
        found = {"observed": [], "theory": [], "morph": []}
        for number, (name, text) in enumerate(star_files(arrays)):
            part = self.told(text)
            assert name == f"stars-{number:03d}.js" and part["file"] == number
            assert part["key"] == star_data(arrays, "miles")["key"]
            for curve, rows in found.items():
                rows += [np.frombuffer(base64.b64decode(row), "<i2") for row in part[curve]]
        for curve, rows in found.items():
            np.testing.assert_array_equal(np.stack(rows), arrays[f"spectra_{curve}"])

    def test_other_spectra_have_another_key(self, arrays):
        before = star_data(arrays, "miles")["key"]
        arrays["spectra_morph"][0, 0] += 1
        assert star_data(arrays, "miles")["key"] != before

    def test_files_of_an_earlier_page_are_gone(self, arrays, tmp_path):
        page = tmp_path / "miles.html"
        write_assets(arrays, page)
        fewer = arrays | {name: arrays[name][:5] for name in arrays if name.startswith("spectra_")}
        write_assets(fewer, page)
        assert [path.name for path in (tmp_path / "assets" / "miles").iterdir()] == ["stars-000.js"]
        write_assets({}, page)
        assert not list((tmp_path / "assets" / "miles").iterdir())
        assert (tmp_path / "assets" / "plotly.min.js").stat().st_size > 1e6

    def test_spectra_of_another_length_are_refused(self, arrays):
        arrays["spectra_theory"] = arrays["spectra_theory"][:, 1:]
        with pytest.raises(DataError, match="spectra_theory"):
            check_arrays(arrays)
