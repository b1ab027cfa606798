"""Names in messages: a pipe is named as the user knows it, not by the temporary file that stands for it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from codecvsr.errors import CodecVSRError
from codecvsr.events import Finished
from codecvsr.upscaling.options import RunSettings

T = TypeVar("T")


@dataclass(frozen=True)
class DisplayNames:
    """Replaces the paths of temporary files in messages, events and errors.

    Attributes:
        names: paths, and what is shown for them.
    """

    names: Mapping[Path, str]

    def in_text(self, text: str) -> str:
        """Returns a text with the names."""
        for path, name in self.names.items():
            text = text.replace(str(path), name)
        return text

    def in_fields(self, record: T) -> T:
        """Returns a dataclass object with the names in its texts."""
        changed: dict[str, Any] = {}
        for each in fields(record):  # type: ignore[arg-type]
            value = getattr(record, each.name)
            if isinstance(value, str):
                changed[each.name] = self.in_text(value)
            elif isinstance(value, list):
                changed[each.name] = [self.in_text(item) if isinstance(item, str) else item for item in value]
        return replace(record, **changed)  # type: ignore[type-var]

    def in_settings(self, settings: RunSettings) -> RunSettings:
        """Returns settings whose events have the names."""
        on_event = settings.on_event
        if on_event is None:
            return settings

        def show(event: Any) -> None:
            if isinstance(event, Finished):
                report = {
                    key: self.in_text(text) if isinstance(text, str) else text for key, text in event.report.items()
                }
                on_event(Finished(report))
            else:
                on_event(self.in_fields(event))

        return replace(settings, on_event=show)

    @contextmanager
    def in_messages(self) -> Iterator[None]:
        """Within ``with``, log messages have the names, and so have errors that leave it.

        Raises:
            CodecVSRError: the one that was raised, with the names in its text.
        """
        handlers = logging.getLogger("codecvsr").handlers[:]
        for handler in handlers:
            handler.addFilter(self._rename)
        try:
            yield
        except CodecVSRError as error:
            raise type(error)(self.in_text(str(error))) from error
        finally:
            for handler in handlers:
                handler.removeFilter(self._rename)

    def _rename(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = self.in_text(record.getMessage()), ()
        return True
