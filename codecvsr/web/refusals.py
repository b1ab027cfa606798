"""Refused requests: an exception with an HTTP status, and the JSON answer."""

from __future__ import annotations

from flask import Response, jsonify


class Refused(Exception):
    """A request is refused.

    Attributes:
        status: HTTP status code.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def refusal(status: int, text: str) -> Response:
    """Returns an error response, ``{"error": text}``."""
    response: Response = jsonify({"error": text})
    response.status_code = status
    if status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response
