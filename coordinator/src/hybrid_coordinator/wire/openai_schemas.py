"""The shapes of OpenAI's requests: what is checked, and what the OpenAPI document says.

One source for both: ``openai_requests`` checks bodies against these types,
and ``schemas`` hands out their JSON schemas. They name the fields the
gateway relies on; every object may have more, which are passed on.
Anthropic's are in ``anthropic_schemas``, answers in ``answer_schemas``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Required

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

OPEN = ConfigDict(extra="allow", strict=True)
"""Types are not coerced, and unknown fields are kept."""

Text = Annotated[str, Field(min_length=1)]
TokenLimit = Annotated[int, Field(ge=1)]


@with_config(OPEN)
class TextPart(TypedDict, total=False):
    """Text."""

    type: Required[Literal["text"]]
    text: Required[str]


@with_config(OPEN)
class RefusalPart(TypedDict, total=False):
    """A refusal the assistant gave earlier."""

    type: Required[Literal["refusal"]]
    refusal: Required[str]


@with_config(OPEN)
class MediaUrl(TypedDict, total=False):
    """Where an image or a video is: an http(s) or data URL."""

    url: Required[Text]


@with_config(OPEN)
class ImagePart(TypedDict, total=False):
    """An image."""

    type: Required[Literal["image_url"]]
    image_url: Required[MediaUrl]


@with_config(OPEN)
class VideoPart(TypedDict, total=False):
    """A video (not OpenAI's own; local servers take it)."""

    type: Required[Literal["video_url"]]
    video_url: Required[MediaUrl]


@with_config(OPEN)
class Audio(TypedDict, total=False):
    """Sound, base64 encoded."""

    data: Required[str]
    format: str


@with_config(OPEN)
class AudioPart(TypedDict, total=False):
    """Sound."""

    type: Required[Literal["input_audio"]]
    input_audio: Required[Audio]


@with_config(OPEN)
class FilePart(TypedDict, total=False):
    """A file, by its id or as a data URL."""

    type: Required[Literal["file"]]
    file: Required[dict[str, Any]]


Part = Annotated[
    TextPart | ImagePart | AudioPart | FilePart | RefusalPart | VideoPart,
    Field(discriminator="type"),
]
Content = str | list[Part]
TextContent = str | list[TextPart]


@with_config(OPEN)
class CalledFunction(TypedDict, total=False):
    """Which function, with which arguments (JSON text)."""

    name: Required[Text]
    arguments: Required[str]


@with_config(OPEN)
class CalledTool(TypedDict, total=False):
    """Which custom tool, with which input."""

    name: Required[Text]
    input: Required[str]


@with_config(OPEN)
class FunctionToolCall(TypedDict, total=False):
    """A call of a function tool."""

    id: Required[str]
    type: Required[Literal["function"]]
    function: Required[CalledFunction]


@with_config(OPEN)
class CustomToolCall(TypedDict, total=False):
    """A call of a custom tool."""

    id: Required[str]
    type: Required[Literal["custom"]]
    custom: Required[CalledTool]


ToolCall = Annotated[FunctionToolCall | CustomToolCall, Field(discriminator="type")]


@with_config(OPEN)
class SystemMessage(TypedDict, total=False):
    """Instructions."""

    role: Required[Literal["system"]]
    content: Required[TextContent]


@with_config(OPEN)
class DeveloperMessage(TypedDict, total=False):
    """Instructions, by their newer name."""

    role: Required[Literal["developer"]]
    content: Required[TextContent]


@with_config(OPEN)
class UserMessage(TypedDict, total=False):
    """What the user said."""

    role: Required[Literal["user"]]
    content: Required[Content]


@with_config(OPEN)
class AssistantMessage(TypedDict, total=False):
    """What the model answered earlier."""

    role: Required[Literal["assistant"]]
    content: Content | None
    tool_calls: list[ToolCall] | None


@with_config(OPEN)
class ToolMessage(TypedDict, total=False):
    """What a tool returned."""

    role: Required[Literal["tool"]]
    content: Required[Content]
    tool_call_id: Required[str]


@with_config(OPEN)
class FunctionMessage(TypedDict, total=False):
    """What a function returned (the form before tools)."""

    role: Required[Literal["function"]]
    content: Required[str | None]
    name: Required[Text]


Message = Annotated[
    UserMessage
    | AssistantMessage
    | SystemMessage
    | ToolMessage
    | DeveloperMessage
    | FunctionMessage,
    Field(discriminator="role"),
]


@with_config(OPEN)
class Function(TypedDict, total=False):
    """A function the model may call; ``parameters`` is a JSON schema."""

    name: Required[Text]
    description: str | None
    parameters: dict[str, Any] | None
    strict: bool | None


@with_config(OPEN)
class NamedTool(TypedDict, total=False):
    """A tool by its name."""

    name: Required[Text]


@with_config(OPEN)
class FunctionTool(TypedDict, total=False):
    """A tool with JSON arguments."""

    type: Required[Literal["function"]]
    function: Required[Function]


@with_config(OPEN)
class CustomTool(TypedDict, total=False):
    """A tool with free text input."""

    type: Required[Literal["custom"]]
    custom: Required[NamedTool]


Tool = Annotated[FunctionTool | CustomTool, Field(discriminator="type")]


@with_config(OPEN)
class FunctionChoice(TypedDict, total=False):
    """Call this function."""

    type: Required[Literal["function"]]
    function: Required[NamedTool]


@with_config(OPEN)
class CustomChoice(TypedDict, total=False):
    """Call this custom tool."""

    type: Required[Literal["custom"]]
    custom: Required[NamedTool]


@with_config(OPEN)
class ToolSubset(TypedDict, total=False):
    """Some of the tools, and whether one of them must be called."""

    mode: Required[Literal["auto", "required"]]
    tools: Required[list[Annotated[FunctionChoice | CustomChoice, Field(discriminator="type")]]]


@with_config(OPEN)
class AllowedTools(TypedDict, total=False):
    """Call some of these."""

    type: Required[Literal["allowed_tools"]]
    allowed_tools: Required[ToolSubset]


ToolChoice = (
    Literal["none", "auto", "required"]
    | Annotated[FunctionChoice | CustomChoice | AllowedTools, Field(discriminator="type")]
)


@with_config(OPEN)
class TextFormat(TypedDict, total=False):
    """Plain text."""

    type: Required[Literal["text"]]


@with_config(OPEN)
class JsonObjectFormat(TypedDict, total=False):
    """Some JSON object."""

    type: Required[Literal["json_object"]]


@with_config(OPEN)
class NamedSchema(TypedDict, total=False):
    """A JSON schema with a name."""

    name: Required[Text]
    schema: dict[str, Any]
    strict: bool | None


@with_config(OPEN)
class JsonSchemaFormat(TypedDict, total=False):
    """JSON that fits a schema."""

    type: Required[Literal["json_schema"]]
    json_schema: Required[NamedSchema]


ResponseFormat = Annotated[
    TextFormat | JsonObjectFormat | JsonSchemaFormat, Field(discriminator="type")
]


@with_config(OPEN)
class StreamOptions(TypedDict, total=False):
    """What a stream tells besides the answer."""

    include_usage: bool | None


@with_config(OPEN)
class ChatCompletionRequest(TypedDict, total=False):
    """POST /v1/chat/completions. ``model`` unset or ``auto`` lets the router decide."""

    model: Text | None
    messages: Required[Annotated[list[Message], Field(min_length=1)]]
    n: Annotated[int, Field(ge=1, le=128)] | None
    stream: bool | None
    stream_options: StreamOptions | None
    max_tokens: TokenLimit | None
    max_completion_tokens: TokenLimit | None
    temperature: Annotated[float, Field(ge=0, le=2)] | None
    top_p: Annotated[float, Field(ge=0, le=1)] | None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None
    logprobs: bool | None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None
    logit_bias: dict[str, float] | None
    seed: int | None
    stop: str | list[str] | None
    tools: list[Tool] | None
    tool_choice: ToolChoice | None
    parallel_tool_calls: bool | None
    functions: list[Function] | None
    function_call: Literal["none", "auto"] | NamedTool | None
    response_format: ResponseFormat | None
    reasoning_effort: str | None
    metadata: dict[str, str] | None
    user: str | None


@with_config(OPEN)
class EmbeddingsRequest(TypedDict, total=False):
    """POST /v1/embeddings: one text, or several."""

    model: Text | None
    input: Required[Text | Annotated[list[Text], Field(min_length=1, max_length=2048)]]
    encoding_format: Literal["float", "base64"] | None
    dimensions: TokenLimit | None
    user: str | None
