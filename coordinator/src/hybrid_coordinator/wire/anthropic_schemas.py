"""The shapes of Anthropic's requests: what is checked, and what the OpenAPI document says.

They hold for the API versions 2023-06-01 and 2026-10-21. Content blocks and
tools of types not named here (Anthropic's server tools) pass unchecked,
because only Anthropic can serve them. See ``openai_schemas`` for the rules
all schemas share.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, Required

from pydantic import Discriminator, Field, Tag, WithJsonSchema, with_config
from typing_extensions import TypedDict

from hybrid_coordinator.wire.openai_schemas import OPEN, Text, TokenLimit

_BLOCKS: Final = (
    "text",
    "image",
    "document",
    "tool_use",
    "tool_result",
    "thinking",
    "redacted_thinking",
)
_RESULT_BLOCKS: Final = ("text", "image", "document")


def _block_tag(block: Any) -> str:
    kind = block.get("type") if isinstance(block, dict) else None
    return kind if kind in _BLOCKS else "other"


def _result_tag(block: Any) -> str:
    kind = block.get("type") if isinstance(block, dict) else None
    return kind if kind in _RESULT_BLOCKS else "other"


def _tool_tag(tool: Any) -> str:
    kind = tool.get("type") if isinstance(tool, dict) else None
    return "custom" if kind is None or kind == "custom" else "server"


@with_config(OPEN)
class TextBlock(TypedDict, total=False):
    """Text."""

    type: Required[Literal["text"]]
    text: Required[str]


@with_config(OPEN)
class Base64Source(TypedDict, total=False):
    """Bytes, base64 encoded."""

    type: Required[Literal["base64"]]
    media_type: Required[Text]
    data: Required[str]


@with_config(OPEN)
class UrlSource(TypedDict, total=False):
    """Something to fetch."""

    type: Required[Literal["url"]]
    url: Required[Text]


@with_config(OPEN)
class FileSource(TypedDict, total=False):
    """A file uploaded to Anthropic before."""

    type: Required[Literal["file"]]
    file_id: Required[Text]


@with_config(OPEN)
class PlainTextSource(TypedDict, total=False):
    """A document's text."""

    type: Required[Literal["text"]]
    data: Required[str]


@with_config(OPEN)
class ContentSource(TypedDict, total=False):
    """A document made of blocks."""

    type: Required[Literal["content"]]
    content: Required[str | list[dict[str, Any]]]


@with_config(OPEN)
class ImageBlock(TypedDict, total=False):
    """An image."""

    type: Required[Literal["image"]]
    source: Required[Annotated[Base64Source | UrlSource | FileSource, Field(discriminator="type")]]


@with_config(OPEN)
class DocumentBlock(TypedDict, total=False):
    """A document."""

    type: Required[Literal["document"]]
    source: Required[
        Annotated[
            Base64Source | UrlSource | FileSource | PlainTextSource | ContentSource,
            Field(discriminator="type"),
        ]
    ]
    title: str | None
    context: str | None


@with_config(OPEN)
class ToolUseBlock(TypedDict, total=False):
    """A tool call the model made earlier."""

    type: Required[Literal["tool_use"]]
    id: Required[Text]
    name: Required[Text]
    input: Required[dict[str, Any]]


@with_config(OPEN)
class OtherResultBlock(TypedDict, total=False):
    """Part of a tool's result, of a type only Anthropic knows."""

    type: Required[
        Annotated[str, WithJsonSchema({"type": "string", "not": {"enum": list(_RESULT_BLOCKS)}})]
    ]


ResultBlock = Annotated[
    Annotated[TextBlock, Tag("text")]
    | Annotated[ImageBlock, Tag("image")]
    | Annotated[DocumentBlock, Tag("document")]
    | Annotated[OtherResultBlock, Tag("other")],
    Discriminator(_result_tag),
]


@with_config(OPEN)
class ToolResultBlock(TypedDict, total=False):
    """What a tool returned."""

    type: Required[Literal["tool_result"]]
    tool_use_id: Required[Text]
    content: str | list[ResultBlock] | None
    is_error: bool | None


@with_config(OPEN)
class ThinkingBlock(TypedDict, total=False):
    """Reasoning the model gave earlier."""

    type: Required[Literal["thinking"]]
    thinking: Required[str]
    signature: str


@with_config(OPEN)
class RedactedThinkingBlock(TypedDict, total=False):
    """Encrypted reasoning."""

    type: Required[Literal["redacted_thinking"]]
    data: Required[str]


@with_config(OPEN)
class OtherBlock(TypedDict, total=False):
    """Content of a type only Anthropic knows."""

    type: Required[
        Annotated[str, WithJsonSchema({"type": "string", "not": {"enum": list(_BLOCKS)}})]
    ]


Block = Annotated[
    Annotated[TextBlock, Tag("text")]
    | Annotated[ImageBlock, Tag("image")]
    | Annotated[DocumentBlock, Tag("document")]
    | Annotated[ToolUseBlock, Tag("tool_use")]
    | Annotated[ToolResultBlock, Tag("tool_result")]
    | Annotated[ThinkingBlock, Tag("thinking")]
    | Annotated[RedactedThinkingBlock, Tag("redacted_thinking")]
    | Annotated[OtherBlock, Tag("other")],
    Discriminator(_block_tag),
]


@with_config(OPEN)
class UserTurn(TypedDict, total=False):
    """What the user, or a tool, said."""

    role: Required[Literal["user"]]
    content: Required[str | list[Block]]


@with_config(OPEN)
class AssistantTurn(TypedDict, total=False):
    """What the model answered earlier, or the beginning of its answer."""

    role: Required[Literal["assistant"]]
    content: Required[str | list[Block]]


@with_config(OPEN)
class SystemTurn(TypedDict, total=False):
    """Instructions given in the middle of a conversation."""

    role: Required[Literal["system"]]
    content: Required[str | list[TextBlock]]


Turn = Annotated[UserTurn | AssistantTurn | SystemTurn, Field(discriminator="role")]


@with_config(OPEN)
class ClientTool(TypedDict, total=False):
    """A tool the client runs; ``input_schema`` is a JSON schema."""

    type: Literal["custom"] | None
    name: Required[Text]
    description: str | None
    input_schema: Required[dict[str, Any]]


@with_config(OPEN)
class ServerTool(TypedDict, total=False):
    """A tool of a type only Anthropic knows."""

    type: Required[Annotated[str, WithJsonSchema({"type": "string", "not": {"const": "custom"}})]]


AnthropicTool = Annotated[
    Annotated[ClientTool, Tag("custom")] | Annotated[ServerTool, Tag("server")],
    Discriminator(_tool_tag),
]


@with_config(OPEN)
class AutoChoice(TypedDict, total=False):
    """Use tools or not."""

    type: Required[Literal["auto"]]
    disable_parallel_tool_use: bool | None


@with_config(OPEN)
class AnyChoice(TypedDict, total=False):
    """Use some tool."""

    type: Required[Literal["any"]]
    disable_parallel_tool_use: bool | None


@with_config(OPEN)
class ToolNamedChoice(TypedDict, total=False):
    """Use this tool."""

    type: Required[Literal["tool"]]
    name: Required[Text]
    disable_parallel_tool_use: bool | None


@with_config(OPEN)
class NoneChoice(TypedDict, total=False):
    """Use no tool."""

    type: Required[Literal["none"]]


@with_config(OPEN)
class Thinking(TypedDict, total=False):
    """Whether and how much the model thinks first."""

    type: Required[Text]
    budget_tokens: TokenLimit | None


@with_config(OPEN)
class JsonOutputFormat(TypedDict, total=False):
    """JSON that fits a schema."""

    type: Required[Literal["json_schema"]]
    schema: Required[dict[str, Any]]


@with_config(OPEN)
class OutputConfig(TypedDict, total=False):
    """How the answer should look."""

    effort: str | None
    format: JsonOutputFormat | None


@with_config(OPEN)
class Metadata(TypedDict, total=False):
    """About the request."""

    user_id: str | None


@with_config(OPEN)
class CountTokensRequest(TypedDict, total=False):
    """POST /v1/messages/count_tokens."""

    model: Text | None
    messages: Required[Annotated[list[Turn], Field(min_length=1)]]
    system: str | list[TextBlock] | None
    tools: list[AnthropicTool] | None
    tool_choice: (
        Annotated[
            AutoChoice | AnyChoice | ToolNamedChoice | NoneChoice, Field(discriminator="type")
        ]
        | None
    )
    thinking: Thinking | None
    output_config: OutputConfig | None


@with_config(OPEN)
class MessagesRequest(CountTokensRequest, total=False):
    """POST /v1/messages. ``model`` unset or ``auto`` lets the router decide."""

    max_tokens: Required[TokenLimit]
    stream: bool | None
    stop_sequences: list[str] | None
    temperature: Annotated[float, Field(ge=0, le=1)] | None
    top_p: Annotated[float, Field(ge=0, le=1)] | None
    top_k: Annotated[int, Field(ge=0)] | None
    metadata: Metadata | None
