"""The outermost ASGI application: lets a request in, finds its endpoint, renders its errors.

Nothing is exempt by prefix: a path needs a key unless it is, byte for byte,
one of ``OPEN_PATHS`` or a file of the dashboard. Paths without parameters are
found in a table; the rest, and whatever is mounted, by Starlette's router. It
knows no endpoint's work.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client import Counter
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route, Router
from starlette.types import Receive, Scope, Send

from hybrid_coordinator.api.admission import Admission, collect
from hybrid_coordinator.api.body import ClientGone, Limits
from hybrid_coordinator.api.exchange import Exchange
from hybrid_coordinator.api.faults import InternalError, ShuttingDown
from hybrid_coordinator.api.sessions import Doorkeeper
from hybrid_coordinator.errors import (
    HybridError,
    MethodNotAllowed,
    NotFound,
    RequestError,
    Unauthorized,
)
from hybrid_coordinator.settings import Settings
from hybrid_coordinator.telemetry.metrics import Metrics

OPEN_PATHS: Final = frozenset({b"/health", b"/ready", b"/dashboard/", b"/dashboard/session"})
"""The only paths without a key, compared with the raw path as it came over the wire.

Beside them the dashboard's files, each by its whole path (``pages``).
"""

PAGES_LABEL: Final = "/dashboard/(file)"
"""The endpoint's name, in metrics and logs, of every file of the dashboard."""

Handler = Callable[[Exchange], Awaitable[None]]
Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]

_EXCHANGE: Final = "hybrid_coordinator.exchange"
_CLIENT_GONE: Final = -1
"""Never sent: the status of requests that lost their client."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What answers one method of one path; ``path`` may have Starlette's parameters.

    ``page``: the dashboard's page may ask it with its session, without a key.
    """

    method: str
    path: str
    handler: Handler
    page: bool = False


class Edge:
    """The HTTP face of the coordinator as one ASGI application.

    ``mounts`` are further Starlette routes (applications of their own, static
    files); they are behind the same Host, Origin and key rules.
    """

    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        *,
        settings: Settings,
        door: Doorkeeper,
        metrics: Metrics,
        new_id: Callable[[], str],
        pages: Iterable[Endpoint] = (),
        mounts: Sequence[BaseRoute] = (),
        lifespan: Lifespan | None = None,
    ) -> None:
        self.endpoints = tuple(endpoints)
        pages = tuple(pages)
        self._admission = Admission(settings)
        self._limits = Limits.of(settings.server)
        self._door = door
        self._open = OPEN_PATHS | {page.path.encode() for page in pages}
        self._new_id = new_id
        self._requests = metrics.requests
        self._failures = metrics.failures
        self._counters: dict[tuple[str, int], Counter] = {}
        by_path: dict[str, dict[str, Endpoint]] = {}
        for endpoint in (*self.endpoints, *pages):
            by_path.setdefault(endpoint.path, {})[endpoint.method] = endpoint
        # One label of the metric, however many files there are.
        labels = dict.fromkeys((page.path for page in pages), PAGES_LABEL)
        self._fixed = {
            path: _Methods(labels.get(path, path), methods)
            for path, methods in by_path.items()
            if "{" not in path
        }
        routes = [Route(path, _Methods(path, m)) for path, m in by_path.items() if "{" in path]
        self._router = Router(
            [*routes, *mounts], redirect_slashes=False, default=_not_found, lifespan=lifespan
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection scope; only ``http`` and ``lifespan`` are spoken."""
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._router(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1003})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(
            scope, receive, send, interaction_id=self._new_id(), limits=self._limits
        )
        try:
            await self._admit(exchange)
        except ClientGone:
            exchange.status = _CLIENT_GONE
        except HybridError as error:
            await self._answer_error(exchange, error)
        except HTTPException as error:  # A mounted application's way to refuse.
            await self._answer_error(exchange, _translated(error))
        except asyncio.CancelledError:
            if exchange.status == 0:
                await exchange.respond_error(ShuttingDown())
            raise
        except Exception as error:  # The last place that can still answer the client.
            logger.exception(
                "request %s failed",
                exchange.interaction_id,
                extra={"interaction_id": exchange.interaction_id},
            )
            self._failures.labels(room="api", kind=type(error).__name__).inc()
            await self._answer_error(exchange, InternalError())
        finally:
            self._count(exchange)

    async def _admit(self, exchange: Exchange) -> None:
        scope = exchange.scope
        method: str = scope["method"]
        headers = exchange.headers = collect(scope["headers"])
        self._admission.check(headers)
        if b"origin" in headers:
            if self._admission.is_preflight(method, headers):
                exchange.answer_headers += self._admission.preflight_headers(headers)
                await exchange.respond_empty()
                return
            exchange.answer_headers += self._admission.response_headers(headers)
        raw_path = scope.get("raw_path")
        if raw_path not in self._open:
            exchange.caller, exchange.by_session = self._door.identify(method, headers)
        methods = self._fixed.get(exchange.path)
        if methods is not None:
            await methods.serve(exchange)
        else:
            scope[_EXCHANGE] = exchange
            await self._router(scope, exchange.receive, exchange.forward)

    async def _answer_error(self, exchange: Exchange, error: HybridError) -> None:
        if exchange.status == 0:
            await exchange.respond_error(error)
        else:
            # The head is out: cutting the connection is all that still says "failed".
            logger.warning(
                "request %s broke off: %s",
                exchange.interaction_id,
                error.message,
                extra={"interaction_id": exchange.interaction_id},
            )
            raise BrokenOff from error

    def _count(self, exchange: Exchange) -> None:
        key = (exchange.endpoint, exchange.status // 100)
        counter = self._counters.get(key)
        if counter is None:
            status = "gone" if exchange.status == _CLIENT_GONE else f"{key[1]}xx"
            counter = self._requests.labels(endpoint=key[0], status=status)
            self._counters[key] = counter
        counter.inc()
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug(
                "%s %s %d %s",
                exchange.scope["method"],
                exchange.endpoint,
                exchange.status,
                exchange.interaction_id,
            )


class BrokenOff(Exception):
    """An answer failed after its head was sent; the server closes the connection."""


class _Methods:
    """The methods of one path; an ASGI application for Starlette's router."""

    def __init__(self, template: str, endpoints: Mapping[str, Endpoint]) -> None:
        self._template = template.replace(":path}", "}")
        self._endpoints = dict(endpoints)
        if "GET" in endpoints:
            self._endpoints["HEAD"] = endpoints["GET"]
        self._allow = ", ".join(sorted(self._endpoints))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange: Exchange = scope[_EXCHANGE]
        await self.serve(exchange)

    async def serve(self, exchange: Exchange) -> None:
        exchange.endpoint = self._template
        endpoint = self._endpoints.get(exchange.scope["method"])
        if endpoint is None:
            exchange.answer_headers.append((b"allow", self._allow.encode()))
            raise MethodNotAllowed(f"This path takes {self._allow} only.")
        if exchange.by_session and not endpoint.page:
            raise Unauthorized("The dashboard's session does not reach this path: send an API key.")
        await endpoint.handler(exchange)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    raise NotFound("There is nothing at this path: /openapi.json lists what there is.")


def _translated(error: HTTPException) -> RequestError:
    translated: RequestError
    if error.status_code == 404:
        translated = NotFound("There is nothing at this path.")
    elif error.status_code == 405:
        translated = MethodNotAllowed("This path does not take that method.")
    else:
        translated = RequestError(f"The request was refused: {error.detail}.")
        translated.status = error.status_code
    return translated
