"""Rows of a table that an expression chooses: comparisons and arithmetic of columns, and nothing else."""

import ast
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synth2obs.core.errors import DataError

Column = Callable[[str], NDArray[Any]]

OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.In: lambda values, choices: np.isin(values, list(choices)),
    ast.NotIn: lambda values, choices: ~np.isin(values, list(choices)),
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.And: np.logical_and,
    ast.Or: np.logical_or,
    ast.Not: np.logical_not,
    ast.USub: operator.neg,
}
"""What an expression may do."""

EXAMPLE = "write e.g. SNR > 100 and TELESCOPE == 'apo25m' and (STARFLAG & 1) == 0"


def rows_where(expression: str, column: Column, rows: int) -> NDArray[np.bool_]:
    """Rows for which an expression is true; NaN is never larger, smaller or equal.

    Args:
        expression: Names of columns, numbers, quoted text, ``< <= > >= == != in``, ``+ - * /``, bits with
            ``& |``, and ``and or not``.
        column: Gives a column of the table by name, shape (rows,).
        rows: Their number.

    Raises:
        DataError: If it is no such expression, names no column, or does not say true or false of each row.
    """
    try:
        with np.errstate(all="ignore"):
            chosen = np.asarray(_value(ast.parse(expression.strip(), mode="eval").body, column))
    except DataError:
        raise
    except SyntaxError as error:
        raise _refused(expression, error.msg) from error
    except (TypeError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise _refused(expression, str(error)) from error
    if chosen.dtype != bool or chosen.shape != (rows,):
        raise _refused(expression, "it is not true or false of each row")
    return chosen


def _value(node: ast.AST, column: Column) -> Any:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float | str):
        return node.value
    if isinstance(node, ast.Name):
        return column(node.id)
    if isinstance(node, ast.Tuple | ast.List):
        return [_value(one, column) for one in node.elts]
    if isinstance(node, ast.UnaryOp):
        return _operator(node.op)(_value(node.operand, column))
    if isinstance(node, ast.BinOp):
        return _operator(node.op)(_value(node.left, column), _value(node.right, column))
    if isinstance(node, ast.BoolOp):
        first, *others = (_truth(_value(one, column)) for one in node.values)
        for other in others:
            first = _operator(node.op)(first, other)
        return first
    if isinstance(node, ast.Compare):
        return _comparison(node, column)
    raise ValueError(f"{ast.unparse(node)!r} is not allowed")


def _comparison(node: ast.Compare, column: Column) -> Any:
    """``a < b < c`` is ``a < b and b < c``."""
    values = [_value(one, column) for one in (node.left, *node.comparators)]
    found = True
    for operation, left, right in zip(node.ops, values, values[1:], strict=False):
        found = np.logical_and(found, _operator(operation)(left, right))
    return found


def _operator(node: ast.AST) -> Callable[..., Any]:
    if type(node) not in OPERATORS:
        raise ValueError(f"{type(node).__name__} is not allowed")
    return OPERATORS[type(node)]


def _truth(value: Any) -> Any:
    """A side of ``and``: numbers would count as true unless 0, which is never what is meant."""
    if np.asarray(value).dtype != bool:
        raise ValueError("a side of `and` or `or` is neither true nor false")
    return value


def _refused(expression: str, reason: str) -> DataError:
    return DataError(f"cannot use {expression!r}: {reason}", field="where", remedy=EXAMPLE)
