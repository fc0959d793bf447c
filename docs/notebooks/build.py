"""Build the notebooks beside this file: every Markdown source, executed, becomes an `.ipynb` with its outputs.

    python docs/notebooks/build.py --run synth2obs-quickstart

`--run` is the folder of a finished quick start. Names before it build these alone. What differs from call to call
(times, cell names, versions, the paths of this machine) is kept out, so that equal results give equal files; an error,
a warning or a path in an output fails. The pictures that the gallery shows are written to `docs/images`.
"""

import argparse
import base64
import io
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
IMAGES = HERE.parent / "images"
NAMES = ("sun", "own_grid", "own_survey", "errors")
GALLERY = {
    "sun": ("sun_mg_b", "sun_gap", "sun_resolution", "latent_lines"),
    "own_grid": ("own_grid",),
    "own_survey": ("own_survey_labels",),
    "errors": ("pulls", "two_telescopes"),
}
"""Names of a notebook's pictures, in order."""

REPORT = {
    "report_baselines": "miles/baselines",
    "report_strong_lines": "miles/strong_lines",
    "report_gap": "miles/gap",
    "report_instrument": "stelib/instrument",
}
"""Pictures of the quick start's reports, as its MLflow run has them."""

WIDTH = 1050
"""Of a picture of the reports, in pixels."""

COLOURS = 64
"""Of a picture: drawings have few."""

MACHINE = re.compile(r"(?<![\w.:/<~-])/(?!/)[\w.-]+/[\w./-]+|\bat 0x[0-9a-f]{6,}|id=\"table\d+")
"""An absolute path or an address in memory."""


def build(name: str, run: Path) -> None:
    """Execute a source in an empty folder that has the quick start, and write the notebook.

    Args:
        name: Of the source, without its ending.
        run: Folder of the quick start.
    """
    import jupytext
    import nbformat
    from nbclient import NotebookClient

    notebook = jupytext.reads((HERE / f"{name}.md").read_text(encoding="utf-8"), fmt="md")
    with tempfile.TemporaryDirectory() as desk:
        (Path(desk) / "synth2obs-quickstart").symlink_to(run.resolve())
        resources = {"metadata": {"path": desk}}
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            timeout=1200,
            coalesce_streams=True,
            record_timing=False,
            resources=resources,
        )
        client.execute()
    pictures = list(tidy(notebook, name))
    for picture, file in zip(pictures, GALLERY[name], strict=True):
        (IMAGES / f"{file}.png").write_bytes(picture)
    (HERE / f"{name}.ipynb").write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


def tidy(notebook: Any, name: str) -> Iterator[bytes]:
    """Take out what differs from call to call; gives the pictures, in order.

    Raises:
        ValueError: For an output that is a warning, or names a place on this machine.
    """
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell.id = f"{name}-{number}"
        cell.metadata = {}
        for output in cell.get("outputs", []):
            if output.get("name") == "stderr":
                raise ValueError(f"{name}, cell {number} warns: {output.text}")
            data = output.get("data", {})
            if "image/png" in data:
                picture = small(base64.b64decode(data["image/png"]))
                data["image/png"] = base64.b64encode(picture).decode()
                yield picture
            for text in (output.get("text", ""), data.get("text/plain", ""), data.get("text/html", "")):
                if found := MACHINE.search(text):
                    raise ValueError(f"{name}, cell {number} shows {found[0]!r}, which is this machine's")
            if output.output_type in ("execute_result", "display_data"):
                output.metadata = {}


def report_pictures(run: Path) -> None:
    """Write the report's pictures of the gallery."""
    for name, figure in REPORT.items():
        drawn = sorted(run.glob(f"mlflow/artifacts/*/artifacts/figures/{figure}.png"))
        if drawn:
            (IMAGES / f"{name}.png").write_bytes(small(drawn[-1].read_bytes()))


def small(picture: bytes) -> bytes:
    """A PNG of at most `WIDTH` pixels, with few colours and without metadata."""
    from PIL import Image

    buffer = io.BytesIO()
    drawing = Image.open(io.BytesIO(picture)).convert("RGB")
    if drawing.width > WIDTH:
        drawing = drawing.resize(
            (WIDTH, round(WIDTH * drawing.height / drawing.width)), Image.Resampling.LANCZOS
        )
    drawing.quantize(COLOURS, dither=Image.Dither.NONE).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def main() -> None:
    """Read the command line and build."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(NAMES)}; all, if left out")
    parser.add_argument(
        "--run", type=Path, default=Path("synth2obs-quickstart"), help="a finished quick start"
    )
    given = parser.parse_args()
    if unknown := set(given.names) - set(NAMES):
        parser.error(f"no notebook {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    if not (given.run / "bridge").is_dir():
        parser.error(f"--run {given.run} has no bridge; run `synth2obs quickstart` first, or name its folder")
    report_pictures(given.run)
    for name in given.names or NAMES:
        build(name, given.run)
        print(f"{name}.ipynb", flush=True)


if __name__ == "__main__":
    main()
