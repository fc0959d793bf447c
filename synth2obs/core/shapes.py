"""Shapes of tensors: the names of their axes, and `shaped`, which checks annotations where someone asks for it.

Annotations are jaxtyping's, ``Float[Tensor, "stars labels"]``: axes of one name have one length within a call. A single
axis has a space before it, ``" stars"``, by which linters see that it is not the name of a type; ``""`` is a scalar,
``...`` any axes, and ``*any`` any axes that are the same everywhere in the call. `AXES` has the names.

Nothing is checked, and nothing costs time, unless `check_with` comes before the import of what it should check.
"""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast, get_args

AXES = {
    "stars": "B or N: stars or spectra of a batch, of a survey or of a grid",
    "labels": "K: labels, scaled or in their units",
    "latents": "D: components of the latent",
    "cells": "L: samples of the rest grid",
    "functions": "K: functions of the trunk, and their coefficients",
    "features": "F: features of the gap",
    "coefficients": "M: coefficients in the order of `models.layout.Layout`",
    "columns": "functions that make a spectrum, in the order of `models.layout.Layout`: mean, trunk, gap",
    "parameters": "Q: parameters of a fit or a prior",
    "pixels": "P: native pixels",
    "terms": "C: terms of a continuum, segments × (order + 1)",
    "units": "H: radial units of the branch",
    "places": "any wavelengths",
    "chosen": "some of the rows",
    "outputs": "coefficients of spectra in a basis of their own",
    "draws": "S: draws from a posterior",
    "probes": "random directions for norms of Jacobians",
    "directions": "one-dimensional projections of spectra",
    "read": "labels that are read from latents",
    "frequencies": "frequencies of a Fourier transform",
    "steps": "T: samples of a pixel's window",
    "averaged": "samples of a grid that is coarser than the rest grid",
    "blocks": "blocks of a banded matrix",
    "window": "columns that one block of a banded matrix reads",
    "lanes": "rows of one block of a banded matrix",
    "pairs": "R: pairs of labels that a gradient spectrum is the difference between",
    "ends": "2R: both ends of such pairs",
    "rows": "rows of a table: one for all stars, or one for each",
    "moved": "J: labels of which a shift is told from a gap",
    "linear": "M: features of the gap with which such a shift changes",
    "moves": "J M: terms of such a shift",
    "entries": "J: entries of a tabulated response",
    "orders": "M: Hermite amplitudes of a line spread",
}
"""Name of an axis → its usual letter and what it counts. A number is appended where a second such axis differs."""

T = TypeVar("T")
Checker = Callable[[Any], Any]
_checker: Checker | None = None


def check_with(checker: Checker) -> None:
    """Check what is imported from now on.

    Args:
        checker: Decorator that checks annotations at every call, such as ``beartype.beartype``.
    """
    global _checker
    _checker = checker


def shaped(target: T) -> T:
    """A function, or a class with all its methods, checked against its annotations of shape; usually unchanged.

    Only those annotations are checked: protocols and what numpy takes for an array are for the static checker.

    Args:
        target: Function or class.

    Returns:
        The same, which raises ``jaxtyping.TypeCheckError`` if an argument or a result has another shape or type, where
        `check_with` was called before.
    """
    if _checker is None:
        return target
    if not inspect.isclass(target):
        return cast(T, _checked(target, _checker))
    for name, member in list(vars(target).items()):
        if _mentions(member):
            setattr(target, name, _checked(member, _checker))
    return cast(T, target)


def _checked(function: Any, checker: Checker) -> Any:
    from jaxtyping import jaxtyped

    def only_shapes(signature: Any) -> Any:
        hints = signature.__annotations__
        signature.__annotations__ = {name: hint for name, hint in hints.items() if _has_shape(hint)}
        return checker(signature)

    return jaxtyped(function, typechecker=only_shapes)


def _mentions(member: Any) -> bool:
    """Whether a member of a class has an annotation of shape."""
    inner = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
    return inspect.isfunction(inner) and any(map(_has_shape, inner.__annotations__.values()))


def _has_shape(hint: Any) -> bool:
    from jaxtyping import AbstractArray

    return inspect.isclass(hint) and issubclass(hint, AbstractArray) or any(map(_has_shape, get_args(hint)))
