"""The endpoint of the dashboard's session: who am I, log in, log out.

A key comes in the body of a POST and nowhere else: a URL is written into
histories and logs. What a session is and when it ends is in ``sessions``.
"""

from __future__ import annotations

import logging

from prometheus_client import Counter

from hybrid_coordinator.api.exchange import Exchange
from hybrid_coordinator.api.schemas import validate
from hybrid_coordinator.api.sessions import (
    Doorkeeper,
    LoginRequest,
    SessionView,
    check_origin,
    check_request,
    drop_cookie,
    set_cookie,
)
from hybrid_coordinator.conversation import LOOPBACK_CALLER, Caller
from hybrid_coordinator.errors import Unauthorized

log = logging.getLogger(__name__)


class LoginEndpoints:
    """``/dashboard/session``. ``failures`` counts wrong keys."""

    def __init__(self, door: Doorkeeper, failures: Counter) -> None:
        self._door = door
        self._failures = failures

    async def show(self, exchange: Exchange) -> None:
        """Say who the page's user is."""
        exchange.query()
        check_origin(exchange.headers)
        if self._door.keys.is_open:
            await _respond(exchange, _view("none", LOOPBACK_CALLER))
            return
        session = self._door.sessions.find(exchange.headers, self._door.keys)
        if session is None:
            await _respond(exchange, SessionView(login="needed"))
            return
        await _respond(exchange, _view("done", session.caller, session.csrf))

    async def begin(self, exchange: Exchange) -> None:
        """Log in."""
        exchange.query()
        check_origin(exchange.headers)
        sessions = self._door.sessions
        address = _address(exchange)
        sessions.attempts.check(address)
        key = validate(LoginRequest, await exchange.json()).key.strip()
        if self._door.keys.is_open:
            await _respond(exchange, _view("none", LOOPBACK_CALLER))
            return
        # Again: others may have been refused while this one's body came.
        sessions.attempts.check(address)
        try:
            caller = self._door.keys.identify({b"x-api-key": key.encode("utf-8", "replace")})
        except Unauthorized as error:
            sessions.attempts.failed(address)
            self._failures.inc()
            # Bounded by the attempts that are allowed.
            log.warning("a wrong key was tried at the dashboard", extra={"address": address})
            raise Unauthorized(error.message, field="key") from None
        # An id that came with the request, perhaps not from its user, is worth nothing from now on.
        sessions.end(exchange.headers)
        secure = _is_secure(exchange)
        id_, session = sessions.begin(caller, secure=secure)
        exchange.answer_headers.append((b"set-cookie", set_cookie(id_, secure=secure)))
        await _respond(exchange, _view("done", caller, session.csrf))

    async def end(self, exchange: Exchange) -> None:
        """Log out."""
        exchange.query()
        if self._door.keys.is_open:
            await _respond(exchange, _view("none", LOOPBACK_CALLER))
            return
        session = self._door.sessions.find(exchange.headers, self._door.keys)
        if session is not None:
            check_request(session, exchange.scope["method"], exchange.headers)
            self._door.sessions.end(exchange.headers)
        for secure in (True, False):
            exchange.answer_headers.append((b"set-cookie", drop_cookie(secure=secure)))
        await _respond(exchange, SessionView(login="needed"))


def _view(login: str, caller: Caller, csrf: str = "") -> SessionView:
    return SessionView.model_validate(
        {"login": login, "name": caller.name, "operator": caller.is_operator, "csrf": csrf}
    )


def _address(exchange: Exchange) -> str:
    client = exchange.scope.get("client")
    return str(client[0]) if client else "-"


def _is_secure(exchange: Exchange) -> bool:
    """Whether the browser came by https, perhaps to a proxy before us.

    The Origin is the browser's own word. Who lies about it, or about the
    proxy's header, gets a cookie that works in fewer places, for itself.
    """
    headers = exchange.headers
    return (
        exchange.scope.get("scheme") == "https"
        or headers.get(b"origin", b"").lower().startswith(b"https://")
        or headers.get(b"x-forwarded-proto", b"").lower() == b"https"
    )


async def _respond(exchange: Exchange, view: SessionView) -> None:
    exchange.answer_headers.append((b"cache-control", b"no-store"))
    await exchange.respond_without_model(view.model_dump_json().encode())
