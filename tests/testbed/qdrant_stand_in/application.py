"""The stand-in's HTTP side: routes, keys, bodies and answers as Qdrant's REST API has them.

Answers have Qdrant's envelope (`result`, `status`, `time`); a body that is no JSON is 400, one out
of bounds 422, a missing key 401 and a read-only one that would write 403. Not here: what the
operations do.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from importlib.metadata import version
from typing import Any, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError
from qdrant_client import models
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from .configuration import Configuration
from .engine import Engine, Refusal

Answer = Callable[[Engine, Request], Awaitable[Any]]
_T = TypeVar("_T")

_OPEN = ("/", "/healthz", "/livez", "/readyz")
_READS = ("/points", "/points/scroll", "/points/count", "/points/query", "/points/query/batch")

_INSERT: TypeAdapter[models.PointsList | models.PointsBatch] = TypeAdapter(
    models.PointInsertOperations
)
_SELECT: TypeAdapter[models.PointsSelector] = TypeAdapter(models.PointsSelector)


def application(engine: Engine, configuration: Configuration) -> ASGIApp:
    """The ASGI application over an engine."""
    routes = [
        _plain("/healthz", "healthz check passed"),
        _plain("/livez", "healthz check passed"),
        _plain("/readyz", "all shards are ready"),
        Route("/", _root),
        Route("/metrics", partial(_metrics, engine)),
    ]
    for method, path, answer in _OPERATIONS:
        endpoint = partial(_serve, engine, configuration.max_request_bytes, answer)
        routes.append(Route(path, endpoint, methods=[method]))
    return _Keys(Starlette(routes=routes, exception_handlers={404: _unknown}), configuration)


class _Keys:
    """Lets requests through that carry a key, where the configuration has one."""

    def __init__(self, inner: ASGIApp, configuration: Configuration) -> None:
        self._inner = inner
        self._write = configuration.write_keys
        self._read = configuration.read_keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = None
        if scope["type"] == "http":
            scope["path"] = scope["path"].rstrip("/") or "/"
            refused = self._refusal(Request(scope))
        await (refused or self._inner)(scope, receive, send)

    def _refusal(self, request: Request) -> Response | None:
        path = request.url.path
        if not (self._write or self._read) or path in _OPEN:
            return None
        bearer = request.headers.get("authorization", "")
        given = request.headers.get("api-key")
        if given is None and bearer.startswith("Bearer "):
            given = bearer.removeprefix("Bearer ")
        if given is None:
            text = "Must provide an API key or an Authorization bearer token"
            return PlainTextResponse(text, status_code=401)
        if _among(given, self._write):
            return None
        if not _among(given, self._read):
            return PlainTextResponse("Invalid API key or JWT", status_code=401)
        if request.method == "GET" or (request.method == "POST" and path.endswith(_READS)):
            return None
        return _failed(403, "Forbidden: Global manage access is required", 0.0)


def _among(given: str, keys: frozenset[str]) -> bool:
    return any(hmac.compare_digest(given.encode(), key.encode()) for key in keys)


async def _serve(engine: Engine, limit: int, answer: Answer, request: Request) -> Response:
    started = time.perf_counter()
    try:
        await _read_body(request, limit)
        result = await answer(engine, request)
    except Refusal as refusal:
        return _failed(refusal.status, refusal.message, time.perf_counter() - started)
    except ClientDisconnect:  # killed before its body was sent: the server drops it without a word
        return Response(status_code=400)
    except ValueError as error:  # local mode's own word for whatever it does not take
        return _failed(400, f"Wrong input: {error}", time.perf_counter() - started)
    return _sent(200, {"result": result, "status": "ok", "time": time.perf_counter() - started})


async def _read_body(request: Request, limit: int) -> None:
    """Read the body, which the request then keeps, as far as the limit."""
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit:
        raise Refusal(
            400, f"JSON payload ({declared} bytes) is larger than allowed (limit: {limit} bytes)."
        )
    if len(await request.body()) > limit:
        raise Refusal(400, f"JSON payload has exceeded limit ({limit} bytes).")


async def _body(request: Request, kind: type[_T] | TypeAdapter[_T]) -> _T:
    adapter = kind if isinstance(kind, TypeAdapter) else TypeAdapter(kind)
    try:
        return adapter.validate_python(orjson.loads(await request.body()))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Refusal(400, f"Format error in JSON body: {place}: {first['msg']}") from error
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"Format error in JSON body: {error}") from error


def _failed(status: int, message: str, seconds: float) -> Response:
    return _sent(status, {"status": {"error": message}, "time": seconds})


def _sent(status: int, body: object) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")


def _plain(path: str, text: str) -> Route:
    async def answer(_: Request) -> Response:
        return PlainTextResponse(text)

    return Route(path, answer)


async def _unknown(_: Request, __: Exception) -> Response:
    return Response(status_code=404)


async def _root(_: Request) -> Response:
    return _sent(200, _version())


def _version() -> dict[str, str]:
    """The server's version would be the client's: they are released together."""
    return {"title": "qdrant - vector search engine", "version": version("qdrant-client")}


async def _metrics(engine: Engine, _: Request) -> Response:
    count = len(await engine.run(engine.names))
    lines = [
        "# HELP app_info information about qdrant server",
        "# TYPE app_info gauge",
        f'app_info{{name="qdrant",version="{version("qdrant-client")}"}} 1',
        "# HELP collections_total number of collections",
        "# TYPE collections_total gauge",
        f"collections_total {count}",
    ]
    return PlainTextResponse("\n".join(lines) + "\n")


def _name(request: Request) -> str:
    return str(request.path_params["name"])


def _updated(request: Request, number: int) -> dict[str, object]:
    waited = request.query_params.get("wait") == "true"
    return {"operation_id": number, "status": "completed" if waited else "acknowledged"}


def _point(point: models.Record | models.ScoredPoint) -> dict[str, Any]:
    """A point as the server writes it: payload and vector only where they were asked for."""
    written: dict[str, Any] = {"id": point.id}
    if isinstance(point, models.ScoredPoint):
        written |= {"version": point.version, "score": point.score}
    if point.payload is not None:
        written["payload"] = point.payload
    if point.vector is not None:
        written["vector"] = point.model_dump(mode="json", include={"vector"}, exclude_none=True)[
            "vector"
        ]
    return written


def _points(points: Sequence[models.Record | models.ScoredPoint]) -> list[dict[str, Any]]:
    return [_point(point) for point in points]


async def _telemetry(engine: Engine, _: Request) -> object:
    names = await engine.run(engine.names)
    app = {"name": "qdrant", "version": version("qdrant-client")}
    return {"app": app, "collections": {"number_of_collections": len(names)}}


async def _list(engine: Engine, _: Request) -> object:
    return {"collections": [{"name": name} for name in await engine.run(engine.names)]}


async def _exists(engine: Engine, request: Request) -> object:
    return {"exists": await engine.run(partial(engine.exists, _name(request)))}


async def _info(engine: Engine, request: Request) -> object:
    return await engine.run(partial(engine.info, _name(request)))


async def _create(engine: Engine, request: Request) -> object:
    wanted = await _body(request, models.CreateCollection)
    return await engine.run(partial(engine.create, _name(request), wanted))


async def _drop(engine: Engine, request: Request) -> object:
    return await engine.run(partial(engine.drop, _name(request)))


async def _index(engine: Engine, request: Request) -> object:
    wanted = await _body(request, models.CreateFieldIndex)
    number = await engine.run(partial(engine.index, _name(request), wanted))
    return _updated(request, number)


async def _unindex(engine: Engine, request: Request) -> object:
    field = str(request.path_params["field"])
    return _updated(request, await engine.run(partial(engine.unindex, _name(request), field)))


async def _upsert(engine: Engine, request: Request) -> object:
    wanted = await _body(request, _INSERT)
    return _updated(request, await engine.run(partial(engine.upsert, _name(request), wanted)))


async def _delete(engine: Engine, request: Request) -> object:
    wanted = await _body(request, _SELECT)
    return _updated(request, await engine.run(partial(engine.delete, _name(request), wanted)))


async def _set_payload(engine: Engine, request: Request) -> object:
    wanted = await _body(request, models.SetPayload)
    return _updated(request, await engine.run(partial(engine.set_payload, _name(request), wanted)))


async def _retrieve(engine: Engine, request: Request) -> object:
    wanted = await _body(request, models.PointRequest)
    return _points(await engine.run(partial(engine.retrieve, _name(request), wanted)))


async def _count(engine: Engine, request: Request) -> object:
    wanted = await _body(request, models.CountRequest)
    return {"count": await engine.run(partial(engine.count, _name(request), wanted))}


async def _scroll(engine: Engine, request: Request) -> object:
    wanted = await _body(request, models.ScrollRequest)
    points, following = await engine.run(partial(engine.scroll, _name(request), wanted))
    return {"points": _points(points), "next_page_offset": following}


async def _query(engine: Engine, request: Request) -> object:
    wanted = await _body(request, models.QueryRequest)
    (found,) = await engine.run(partial(engine.query, _name(request), [wanted]))
    return {"points": _points(found)}


async def _query_batch(engine: Engine, request: Request) -> object:
    wanted = await _body(request, models.QueryRequestBatch)
    answers = await engine.run(partial(engine.query, _name(request), wanted.searches))
    return [{"points": _points(found)} for found in answers]


_OPERATIONS: Sequence[tuple[str, str, Answer]] = (
    ("GET", "/telemetry", _telemetry),
    ("GET", "/collections", _list),
    ("GET", "/collections/{name}", _info),
    ("PUT", "/collections/{name}", _create),
    ("DELETE", "/collections/{name}", _drop),
    ("GET", "/collections/{name}/exists", _exists),
    ("PUT", "/collections/{name}/index", _index),
    ("DELETE", "/collections/{name}/index/{field}", _unindex),
    ("PUT", "/collections/{name}/points", _upsert),
    ("POST", "/collections/{name}/points", _retrieve),
    ("POST", "/collections/{name}/points/delete", _delete),
    ("POST", "/collections/{name}/points/payload", _set_payload),
    ("POST", "/collections/{name}/points/count", _count),
    ("POST", "/collections/{name}/points/scroll", _scroll),
    ("POST", "/collections/{name}/points/query", _query),
    ("POST", "/collections/{name}/points/query/batch", _query_batch),
)
