"""Annotations of shape: checked here, and nowhere else."""

import re
import subprocess
import sys
from pathlib import Path

import jaxtyping
import pytest
import torch

from synth2obs.core import shapes
from synth2obs.models.decoder.branch import Branch
from synth2obs.models.layout import Coefficients, Layout

PACKAGE = Path(shapes.__file__).parents[1]
ANNOTATION = re.compile(r'\b(?:Bool|Float|Float64|Int|Shaped)\[\w+, "([^"]*)"\]')
UNCHECKED = """
import sys
import torch
from synth2obs.models.layout import Coefficients
Coefficients(torch.zeros(3), torch.zeros(2, 1))
assert "beartype" not in sys.modules and "synth2obs.core.shapes" in sys.modules
import synth2obs.models.bridge
assert "beartype" not in sys.modules
"""
LIGHT = """
import sys
import synth2obs
assert "jaxtyping" not in sys.modules
import synth2obs.core.shapes, jaxtyping
assert "torch" not in sys.modules
"""


def test_a_wrong_number_of_axes_is_refused_with_argument_and_shapes():
    with pytest.raises(jaxtyping.TypeCheckError) as refused:
        Branch(4, 6, 8)(torch.zeros(3))
    said = str(refused.value)
    assert "parameter 'u'" in said and "f32[3]" in said and "stars latents" in said


def test_axes_of_one_name_have_one_length():
    with pytest.raises(jaxtyping.TypeCheckError, match="parameter 'gap'"):
        Layout(2, 1).join(torch.zeros(3, 2), torch.zeros(4, 1))
    with pytest.raises(jaxtyping.TypeCheckError, match="parameter 'jacobian'"):
        Coefficients(torch.zeros(3, 2), torch.zeros(3, 4, 5))


def test_a_wrong_result_is_refused():
    @shapes.shaped
    def summed(u: jaxtyping.Float[torch.Tensor, "stars latents"]) -> jaxtyping.Float[torch.Tensor, " stars"]:
        return u.sum(0)

    with pytest.raises(jaxtyping.TypeCheckError, match="return value"):
        summed(torch.zeros(3, 2))


def test_other_annotations_are_not_checked():
    @shapes.shaped
    def named(u: jaxtyping.Float[torch.Tensor, " stars"], name: str) -> int:
        return name

    assert named(torch.zeros(3), 5) == 5


def test_a_class_is_the_same_class():
    assert Branch.__name__ == "Branch" and Branch.forward.__doc__
    assert Coefficients._fields == ("value", "jacobian")


@pytest.mark.parametrize("script", [UNCHECKED, LIGHT], ids=["unchecked", "light"])
def test_outside_of_tests_nothing_is_checked_and_nothing_heavy_loads(script, environment):
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr


def test_every_axis_has_a_meaning():
    axes = {
        axis
        for path in PACKAGE.rglob("*.py")
        if path.name != "shapes.py"
        for text in ANNOTATION.findall(path.read_text(encoding="utf-8"))
        for axis in text.split()
    }
    names = {axis.rstrip("0123456789") for axis in axes if axis not in ("...", "*any") and not axis.isdigit()}
    assert len(names) > 10 and names <= shapes.AXES.keys()


def test_every_annotation_is_checked():
    """Postponed ones are strings, which `shaped` does not read."""
    silent = [
        path.name
        for path in PACKAGE.rglob("*.py")
        if ANNOTATION.search(text := path.read_text(encoding="utf-8"))
        and path.name != "shapes.py"
        and ("@shaped" not in text or "from __future__ import annotations" in text)
    ]
    assert not silent
