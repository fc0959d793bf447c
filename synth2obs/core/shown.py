"""How results show themselves: lines in a terminal, a small table in a notebook, numbers as their errors allow."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class Summary:
    """What is shown of an object.

    Args:
        title: What it is, with its size.
        rows: Facts by name, in order.
        then: What can be done with it next.
    """

    title: str
    rows: Mapping[str, str]
    then: str = ""

    def text(self) -> str:
        """For a terminal."""
        rows = {**self.rows, **({"next": self.then} if self.then else {})}
        width = max(map(len, rows), default=0)
        return "\n".join([self.title, *(f"  {name:<{width}}  {value}" for name, value in rows.items())])

    def html(self) -> str:
        """For a notebook."""
        rows = "".join(
            f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">{escape(value)}</td></tr>'
            for name, value in self.rows.items()
        )
        then = f"<div>next: <code>{escape(self.then)}</code></div>" if self.then else ""
        return f"<div><strong>{escape(self.title)}</strong><table>{rows}</table>{then}</div>"


class Shown:
    """Shows its `summary`; a dataclass must be made with ``repr=False``."""

    def summary(self) -> Summary:
        """What is shown."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return self.summary().text()

    def _repr_html_(self) -> str:
        return self.summary().html()


def with_error(value: float, error: float, unit: str = "") -> str:
    """A number with as many digits as its error bears, e.g. ``5777 ± 34 K``.

    The error has two digits from 100 to 354 of its first three and one from 355 to 949,
    as the Particle Data Group rounds.

    Args:
        value: Any.
        error: 1 σ; one that is not finite and positive leaves the value at four digits.
        unit: Appended.
    """
    after = f" {unit}" if unit else ""
    if not (math.isfinite(value) and math.isfinite(error) and error > 0):
        return f"{value:.4g}{after}".replace("-", "−")
    power = math.floor(math.log10(error))
    first = round(error / 10.0 ** (power - 2))
    digits = (0 if 355 <= first < 950 else 1) - power - (first >= 950)
    return f"{_rounded(value, digits)} ± {_rounded(error, digits)}{after}"


def _rounded(value: float, digits: int) -> str:
    text = f"{round(value, digits):.{max(digits, 0)}f}"
    return text.replace("-", "−")
