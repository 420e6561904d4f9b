"""The MCP server around the tools, whatever it is reached by; transports are elsewhere.

Messages are checked before the ``mcp`` package sees them, because that logs
what it cannot read, and a log line never holds a question or an answer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, get_args

import orjson
from mcp import types
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import McpError
from pydantic import ValidationError

from hybrid_coordinator import __version__
from hybrid_coordinator.api.faults import InternalError
from hybrid_coordinator.api.mcp_tools import TOOLS
from hybrid_coordinator.api.verbs import Verbs
from hybrid_coordinator.errors import HybridError

_INSTRUCTIONS: Final = (
    "A gateway that learns from its own use. Call augment_query before asking a model, "
    "track_interaction with the answer, and update_outcome once it is known whether it was right."
)
_BY_NAME: Final = {tool.name: tool for tool in TOOLS}
_LISTED: Final = [
    types.Tool(
        name=tool.name,
        title=tool.title,
        description=tool.description,
        inputSchema=tool.input_schema(),
        outputSchema=tool.output_schema(),
        annotations=types.ToolAnnotations(
            title=tool.title,
            readOnlyHint=tool.reads,
            destructiveHint=tool.destroys,
            idempotentHint=tool.repeats,
            openWorldHint=False,
        ),
    )
    for tool in TOOLS
]
_METHODS: Final = frozenset(
    name
    for request in get_args(types.ClientRequest.model_fields["root"].annotation)
    for name in get_args(request.model_fields["method"].annotation)
)

# It logs each request at INFO, and each message with its content at DEBUG.
logging.getLogger("mcp").setLevel(logging.WARNING)

Failed = Callable[[Exception], None]
"""Told of a defect that struck a tool: counts it and logs it once."""


def build_mcp_server(verbs: Verbs, failed: Failed) -> Server[Any, Any]:
    """A server that works for one caller; made anew for each, so that none has another's."""
    server: Server[Any, Any] = Server("hybrid-ai", version=__version__, instructions=_INSTRUCTIONS)

    async def list_tools(_: types.ListToolsRequest | None) -> types.ServerResult:
        return types.ServerResult(types.ListToolsResult(tools=_LISTED))

    async def call_tool(request: types.CallToolRequest) -> types.ServerResult:
        tool = _BY_NAME.get(request.params.name)
        if tool is None:
            names = ", ".join(_BY_NAME)
            message = f"There is no tool of this name: there are {names}."
            raise McpError(types.ErrorData(code=types.INVALID_PARAMS, message=message))
        try:
            structured = await tool.call(verbs, request.params.arguments or {})
        except HybridError as error:
            return _result(error.message, is_error=True)
        except Exception as error:  # noqa: BLE001 - the last place that can still answer the client
            failed(error)
            return _result(InternalError().message, is_error=True)
        return _result(orjson.dumps(structured).decode(), structured)

    server.request_handlers[types.ListToolsRequest] = list_tools
    server.request_handlers[types.CallToolRequest] = call_tool
    return server


def refusal(request: types.JSONRPCRequest) -> types.JSONRPCError | None:
    """The protocol's error for a request that is none of MCP's; None where it is one."""
    try:
        types.ClientRequest.model_validate(
            request.model_dump(by_alias=True, mode="json", exclude_none=True)
        )
    except ValidationError:
        code, message = types.INVALID_PARAMS, "The parameters do not fit this method."
        if request.method not in _METHODS:
            code, message = types.METHOD_NOT_FOUND, "There is no such method."
        error = types.ErrorData(code=code, message=message)
        return types.JSONRPCError(jsonrpc="2.0", id=request.id, error=error)
    return None


def _result(
    text: str, structured: dict[str, Any] | None = None, *, is_error: bool = False
) -> types.ServerResult:
    return types.ServerResult(
        types.CallToolResult(
            content=[types.TextContent(type="text", text=text)],
            structuredContent=structured,
            isError=is_error,
        )
    )
