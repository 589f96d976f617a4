"""Compute an arithmetic expression exactly. Pure.

    "0.1 + 0.2"  ──ast──► allowed nodes only ──Fraction──► 3/10 ──► "0.3"

Numbers are fractions, so only the output is rounded; roots, logarithms and the like are floats. The expression is
never run as code. Its length, its depth and the size of its numbers are bounded.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable
from decimal import Context, Decimal
from fractions import Fraction
from typing import Final

from vivavoce.realtime.tools import ToolError

MAX_LENGTH: Final = 256
MAX_BITS: Final = 4_096  # of a number's numerator and denominator: some 1 200 digits
DIGITS: Final = 15  # of a number with no end

Number = Fraction | float


class CannotCompute(ToolError):
    """The expression has no value."""


_OPERATORS: Final[dict[type[ast.operator], Callable[[Number, Number], Number]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: lambda a, b: Fraction(a // b) if isinstance(a, Fraction) and isinstance(b, Fraction) else a // b,
    ast.Mod: operator.mod,
}

_FUNCTIONS: Final[dict[str, Callable[[Number], Number]]] = {
    "sqrt": lambda x: _root(x),
    "abs": lambda x: -x if x < 0 else x,
    "round": lambda x: Fraction(math.floor(x + Fraction(1, 2))),  # half up
    "floor": lambda x: Fraction(math.floor(x)),
    "ceil": lambda x: Fraction(math.ceil(x)),
    "exp": math.exp,
    "ln": math.log,
    "log": math.log10,
    "log2": math.log2,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "factorial": lambda x: _factorial(x),
}

_CONSTANTS: Final = {"pi": math.pi, "e": math.e}

_SPELLINGS: Final = str.maketrans({"×": "*", "·": "*", "÷": "/", "−": "-", "–": "-", "^": "**", "²": "**2", "³": "**3"})


def compute(expression: str) -> Number:
    """The value of an expression: + - * / // % ** ^, brackets, "15% of 80", functions, pi, e.

    Raises `CannotCompute`."""
    if len(expression) > MAX_LENGTH:
        raise CannotCompute(f"The expression is too long: at most {MAX_LENGTH} characters.")
    try:
        text = _spelled(expression)
        return _checked(_value(ast.parse(text, mode="eval").body, text))
    except ZeroDivisionError:
        raise CannotCompute("Division by zero.") from None
    except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError):
        raise CannotCompute(f"Cannot compute {expression!r}.") from None


def decimal_text(value: Number) -> str:
    """A number as decimal text: exact where it ends, else with `DIGITS` digits."""
    if isinstance(value, float):
        return _plain(Context(prec=DIGITS).create_decimal(repr(value)))
    if value.denominator == 1:
        return str(value.numerator)
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    exact = Context(prec=40).divide(Decimal(value.numerator), Decimal(value.denominator))
    if rest == 1 and exact * value.denominator == value.numerator:
        return _plain(exact)
    return f"about {_plain(Context(prec=DIGITS).plus(exact))}"


def _spelled(expression: str) -> str:
    """The expression in Python's spelling. Commas separate thousands: 1,000."""
    text = expression.translate(_SPELLINGS).strip().rstrip("=? ")
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    text = re.sub(r"(\d(?:\.\d+)?|\))\s*%\s*of\s+", r"\1/100*", text)
    text = re.sub(r"%\s*(?=$|[-+*/)])", "/100", text)
    return re.sub(r"(?<=[\d) ])x(?=[\d( ])", "*", text)


def _value(node: ast.expr, text: str) -> Number:
    match node:
        case ast.Constant(value=int() | float()) if not isinstance(node.value, bool):
            return _literal(node, text)
        case ast.Name(id=name) if name in _CONSTANTS:
            return _CONSTANTS[name]
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand, text)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, text)
        case ast.BinOp(op=ast.Pow(), left=left, right=right):
            return _checked(_power(_value(left, text), _value(right, text)))
        case ast.BinOp(op=op, left=left, right=right) if type(op) in _OPERATORS:
            return _checked(_OPERATORS[type(op)](_value(left, text), _value(right, text)))
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _FUNCTIONS:
            return _checked(_FUNCTIONS[name](_value(argument, text)))
    raise CannotCompute(f"Only numbers, + - * / // % **, brackets, pi, e and these functions: {', '.join(_FUNCTIONS)}.")


def _literal(node: ast.Constant, text: str) -> Fraction:
    """The number as written: 0.1 is a tenth. (With an exponent it is Python's float, which bounds it.)"""
    written = text[node.col_offset : node.end_col_offset]
    return Fraction(written if re.fullmatch(r"[\d.]+", written) else repr(node.value))


def _power(base: Number, exponent: Number) -> Number:
    if isinstance(base, Fraction) and isinstance(exponent, Fraction) and exponent.denominator == 1:
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        if abs(exponent.numerator) * bits > MAX_BITS:
            raise CannotCompute("The number is too large.")
        return Fraction(base**exponent.numerator)
    if exponent == Fraction(1, 2):
        return _root(base)
    result = float(base) ** float(exponent)
    if isinstance(result, complex):
        raise CannotCompute("A root of a negative number is no real number.")
    return float(result)


def _root(x: Number) -> Number:
    """The square root, exact where it is rational."""
    if x < 0:
        raise CannotCompute("A root of a negative number is no real number.")
    if isinstance(x, Fraction):
        above, below = math.isqrt(x.numerator), math.isqrt(x.denominator)
        if above**2 == x.numerator and below**2 == x.denominator:
            return Fraction(above, below)
    return math.sqrt(x)


def _factorial(x: Number) -> Fraction:
    if not isinstance(x, Fraction) or x.denominator != 1 or not 0 <= x <= 400:
        raise CannotCompute("The factorial is computed of whole numbers from 0 to 400.")
    return Fraction(math.factorial(x.numerator))


def _checked(value: Number) -> Number:
    if isinstance(value, float):
        if not math.isfinite(value):
            raise CannotCompute("The number is too large.")
    elif max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise CannotCompute("The number is too large.")
    return value


def _plain(number: Decimal) -> str:
    """Without an exponent from 1e-12 to 1e21."""
    return f"{number.normalize():f}" if -12 < number.adjusted() < 21 else str(number.normalize())
