"""Checks of the values in a request's JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from codecvsr.errors import InputError


class ParameterError(InputError):
    """A request is invalid; the text names the field."""


def check_object(value: object, known: set[str], name: str) -> Mapping[str, Any]:
    """Returns a JSON object whose keys are all known.

    Raises:
        ParameterError: it is something else.
    """
    if not isinstance(value, dict):
        raise ParameterError(f"{name}: a JSON object was expected.")
    if unknown := sorted(set(value) - known):
        raise ParameterError(f"{name}: unknown field {unknown[0][:40]!r}; expected {', '.join(sorted(known))}.")
    return value


def check_number(value: object, name: str, low: float, high: float) -> float:
    """Returns a finite number from ``low`` to ``high``.

    Raises:
        ParameterError: it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ParameterError(f"{name}: a number was expected.")
    if not low <= value <= high:
        raise ParameterError(f"{name}: {value:g} is not between {low:g} and {high:g}.")
    return float(value)
