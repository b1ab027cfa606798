"""Access control: token, origin checks and security headers."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from urllib.parse import urlsplit

from flask import Flask, Response, request

from codecvsr.errors import InputError
from codecvsr.web.refusals import refusal

COOKIE = "codecvsr_session"
_MIN_TOKEN, _MAX_TOKEN = 16, 1000
_OPEN = frozenset({"page", "static", "openapi", "session"})  # endpoints that need no token
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine's own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_exposure(host: str, token: str | None) -> None:
    """Check that a server which other machines can use has a token.

    Raises:
        InputError: ``host`` is not a loopback address and there is no token, or the token is short.
    """
    if token is not None and not _MIN_TOKEN <= len(token) <= _MAX_TOKEN:
        raise InputError(
            f"the token has {len(token)} characters; at least {_MIN_TOKEN} were expected, and at most {_MAX_TOKEN}."
        )
    if token is None and not is_loopback(host):
        raise InputError(
            f"--host {host} can be reached by other machines, which needs --token (or CODECVSR_SERVE_TOKEN), such as "
            f"{secrets.token_urlsafe(24)}"
        )


class Guard:
    """Checks every request and adds headers to every response."""

    def __init__(self, token: str | None) -> None:
        self._token = token
        self._session = secrets.token_urlsafe(32)

    def install(self, app: Flask) -> None:
        """Register the checks with ``app``."""
        app.before_request(self.check)
        app.after_request(_add_headers)
        app.add_url_rule("/api/session", "session", self.log_in, methods=["POST"])

    def check(self) -> Response | None:
        """Returns a refusal of requests from foreign pages or without the token; None if the request is allowed."""
        if self._token is None and not is_loopback(urlsplit(f"//{request.host}").hostname or ""):
            return refusal(403, "this server answers only as localhost or 127.0.0.1.")  # DNS rebinding
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            origin = request.headers.get("Origin")
            is_foreign = origin is not None and urlsplit(origin).netloc != request.host
            if is_foreign or request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
                return refusal(403, "requests of other pages are refused.")
        if self._token is None or request.endpoint in _OPEN or request.endpoint is None:
            return None
        header = request.headers.get("Authorization", "")
        by_header = hmac.compare_digest(header.encode(), f"Bearer {self._token}".encode())
        by_cookie = hmac.compare_digest(request.cookies.get(COOKIE, "").encode(), self._session.encode())
        return None if by_header or by_cookie else refusal(401, "the token of this server is needed.")

    def log_in(self) -> Response:
        """Exchange the token for a cookie, which videos and event streams send as well."""
        body = request.get_json(silent=True)
        token = body.get("token") if isinstance(body, dict) and set(body) == {"token"} else None
        if not isinstance(token, str) or len(token) > _MAX_TOKEN:
            return refusal(422, 'an object with the text "token" and nothing else was expected.')
        if self._token is not None and not hmac.compare_digest(token.encode(), self._token.encode()):
            return refusal(401, "this is not the token of this server.")
        response = Response(status=204)
        response.set_cookie(COOKIE, self._session, httponly=True, samesite="Strict", secure=request.is_secure, path="/")
        return response


def _add_headers(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers[name] = value
    if request.path.startswith("/api/") and "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    return response
