"""Receives uploads: checks size, disk space and container before a file is accepted."""

from __future__ import annotations

import shutil
from pathlib import Path

from flask import Request

from codecvsr.web import sniff
from codecvsr.web.limits import Limits
from codecvsr.web.refusals import Refused
from codecvsr.web.store import Clip, JobStore

_READ_BYTES = 1 << 20
_NAME_LENGTH = 120
_FREE_BYTES = 256 << 20  # that must remain free on the disk


def receive_upload(request: Request, store: JobStore, limits: Limits) -> Clip:
    """Write the body of a request to the store.

    Args:
        request: the file itself as application/octet-stream; its name in the query.
        store: receives the file.
        limits: sizes that are allowed.

    Raises:
        Refused: the file is too large, is not a video, or the disk is full.
    """
    if (request.mimetype or "") != "application/octet-stream":
        raise Refused(415, "the file itself was expected, as application/octet-stream.")
    if request.content_length is None:
        raise Refused(411, "the length of the file was expected (Content-Length).")
    if request.content_length > limits.upload_bytes:
        raise Refused(413, f"the file is larger than the {limits.upload_bytes >> 20} MiB that are allowed.")
    check_disk_space(store, limits, request.content_length)
    id_ = store.new_id()
    part = store.upload_path(id_)
    try:
        size = _receive(request, part, limits)
        with part.open("rb") as file:
            suffix = sniff.video_suffix(file.read(sniff.HEAD))
        if suffix is None:
            raise Refused(
                415,
                "this is not a video: MP4, MOV, MKV, WebM, AVI, WMV, FLV, MPG, VOB, MTS, Ogg or a raw stream was expected.",
            )
        part.rename(store.upload_path(id_, suffix))
    finally:
        part.unlink(missing_ok=True)
    return store.add_clip(id_, _display_name(request.args.get("name", "")), suffix, size)


def check_disk_space(store: JobStore, limits: Limits, wanted: int) -> None:
    """Check that ``wanted`` more bytes fit on the disk and into the server's limit.

    Raises:
        Refused: they do not.
    """
    free = shutil.disk_usage(store.folder).free
    if free - wanted < _FREE_BYTES or store.stored_bytes() + wanted > limits.stored_bytes:
        raise Refused(507, "the server's disk is full; delete some results.")


def _receive(request: Request, part: Path, limits: Limits) -> int:
    """Write the body to ``part``; returns its size in bytes."""
    size = 0
    with part.open("wb") as file:
        while data := request.stream.read(_READ_BYTES):
            size += len(data)
            if size > limits.upload_bytes:
                raise Refused(413, "the file is larger than allowed.")
            file.write(data)
    return size


def _display_name(name: str) -> str:
    """Returns a file's name for display only: without folders and control characters."""
    tidy = "".join(sign for sign in name.replace("\\", "/").rsplit("/", 1)[-1] if sign.isprintable()).strip()
    return tidy[:_NAME_LENGTH] or "upload"
