import pytest

from synth2obs.core.shown import Shown, Summary, with_error


@pytest.mark.parametrize(
    "value, error, unit, text",
    [
        (5777.3, 34.2, "K", "5777 ± 34 K"),
        (4.4372, 0.0234, "dex", "4.437 ± 0.023 dex"),
        (0.0104, 0.0007, "", "0.0104 ± 0.0007"),
        (5777.0, 95.6, "", "5780 ± 100"),
        (5777.0, 987.0, "", "5800 ± 1000"),
        (-0.1234, 0.0412, "", "−0.12 ± 0.04"),
        (12.34, 0.0, "K", "12.34 K"),
        (12.34, float("nan"), "", "12.34"),
    ],
)
def test_a_number_has_the_digits_of_its_error(value, error, unit, text):
    assert with_error(value, error, unit) == text


def test_what_is_shown_is_text_and_a_table():
    class Thing(Shown):
        def summary(self):
            return Summary("Thing <1>", {"size": "3 < 4"}, ".go()")

    assert repr(Thing()) == "Thing <1>\n  size  3 < 4\n  next  .go()"
    assert "3 &lt; 4" in Thing()._repr_html_() and "<table>" in Thing()._repr_html_()
