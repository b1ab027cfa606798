"""Lines of text for a terminal: folded between phrases and words, so that no number, word or file name is cut."""

from __future__ import annotations

import re

_PHRASES = re.compile(r"(?<=[,;:.]) |(?<= ->) ")  # a file name with spaces stays whole where it fits


def fold(text: str, columns: int) -> str:
    """Returns text with line breaks between phrases; between words in phrases that are longer than a line.

    A longer word has a line of its own, which the terminal wraps: what is copied from there is whole.
    """
    from rich.cells import cell_len

    lines: list[str] = []
    for line in text.splitlines() or [""]:
        filled = ""
        for phrase in _PHRASES.split(line):
            parts = [phrase] if cell_len(phrase) <= columns else phrase.split(" ")
            for part in parts:
                if filled and cell_len(filled) + 1 + cell_len(part) > columns:
                    lines.append(filled)
                    filled = part
                else:
                    filled = f"{filled} {part}" if filled else part
        lines.append(filled)
    return "\n".join(lines)
