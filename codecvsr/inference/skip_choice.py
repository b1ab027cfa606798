"""What ``--skip-static`` can be. Imports nothing large, as the command line checks its options with it."""

from __future__ import annotations

from typing import Literal

from codecvsr.errors import InputError

#: ``blocks`` where the network can and else nothing; nothing; duplicate frames; blocks in which no pixel changes. Before there was
#: a choice, True meant ``frames`` and False ``off``.
SkipStatic = Literal["auto", "off", "frames", "blocks", True, False]

CHOICES = ("auto", "off", "frames", "blocks")


def parse_skip_static(value: SkipStatic) -> str:
    """Return the choice that a value stands for.

    Raises:
        InputError: there is no such choice.
    """
    if isinstance(value, bool):
        return "frames" if value else "off"
    if value not in CHOICES:
        raise InputError(f"skip_static is {value!r}; {', '.join(CHOICES[:-1])} or {CHOICES[-1]} was expected.")
    return value
