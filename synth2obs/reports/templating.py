"""Templates of the pages, and what of our own they must not escape."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from synth2obs.reports.content import tidy

TEMPLATES = Path(__file__).parent / "templates"


def template(name: str) -> Any:
    """One of the pages' templates: escaping, and with every name that it needs or none."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["tidy"] = tidy
    environment.filters["data"] = _data
    return environment.get_template(name)


def page_style() -> Any:
    """Our own style sheet, which a template must not escape."""
    return _own("style.css")


def page_script() -> dict[str, Any]:
    """Our own script, and the digest by which a page's policy lets it and no other run inside the page."""
    script = _own("viewer.js")
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return {"script": script, "script_digest": f"sha256-{digest}"}


def _own(name: str) -> Any:
    from markupsafe import Markup

    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


def _data(value: Any) -> Any:
    """A value as JSON that no text in it can end: a page's block of data."""
    from markupsafe import Markup

    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True)
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
