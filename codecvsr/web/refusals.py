"""Refused requests: an exception with an HTTP status, and the JSON answer."""

from __future__ import annotations

import logging
import traceback

from flask import Response, jsonify
from werkzeug.exceptions import HTTPException

from codecvsr.errors import CodecVSRError

_logger = logging.getLogger(__name__)


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


def http_error(error: HTTPException) -> Response:
    """Returns the answer to a request that Flask refuses."""
    response = refusal(error.code or 500, f"{(error.name or 'error').lower()}.")
    if isinstance(allowed := getattr(error, "valid_methods", None), (list, tuple, set)):
        response.headers["Allow"] = ", ".join(sorted(allowed))
    return response


def unexpected_error(error: Exception) -> Response:
    """Returns the answer to a request that failed; errors of this package are meant for the user."""
    if isinstance(error, CodecVSRError):
        return refusal(422, str(error))
    _logger.error("a request failed:\n%s", "".join(traceback.format_exception(error)))
    return refusal(500, "internal error; see the server's log.")
