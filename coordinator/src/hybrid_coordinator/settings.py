"""Every option, its type, unit and default, once.

What the NixOS module writes, this reads; ``settings.schema.json`` and the
options document are generated from these models. How a file and the
environment become a ``Settings`` object is in ``configuration``.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from hybrid_coordinator.conversation import AUTO_MODEL, Tier
from hybrid_coordinator.health_settings import HealthSettings
from hybrid_coordinator.learning_settings import ExperimentSettings, LearningSettings
from hybrid_coordinator.option_types import Fraction, HttpUrl, Name, Seconds, Secret, Section, Url
from hybrid_coordinator.reporting_settings import ReportingSettings
from hybrid_coordinator.tracing_settings import TracingSettings

BUNDLED_EMBEDDER = "bundled"
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


class Collection(StrEnum):
    """The five collections, by the only names they have anywhere."""

    CODEBASE_CONTEXT = "codebase-context"
    SKILLS_PATTERNS = "skills-patterns"
    ERROR_SOLUTIONS = "error-solutions"
    INTERACTION_HISTORY = "interaction-history"
    BEST_PRACTICES = "best-practices"


class ServerSettings(Section):
    """How requests are accepted."""

    max_body_bytes: int = Field(8 * 1024 * 1024, ge=1024, description="Largest request body.")
    body_timeout: Seconds = Field(10.0, description="Seconds a request's bytes may take to arrive.")
    grace_period: Seconds = Field(30.0, description="Seconds open answers may take after SIGTERM.")
    max_connections: int = Field(1024, ge=1, description="Connections open at the same time.")
    max_json_depth: int = Field(64, ge=8, le=200, description="Nesting a request body may have.")
    allowed_hosts: tuple[str, ...] = Field(
        (), description="Host headers accepted besides loopback names and `host`; `*` for any."
    )
    allowed_origins: tuple[str, ...] = Field(
        (), description="Origins that browsers may call from; none by default."
    )


class QdrantSettings(Section):
    """Where the collections live."""

    url: HttpUrl | None = Field(None, description="Qdrant server; unset: embedded in a directory.")
    api_key_file: Secret | None = None
    timeout: Seconds = 5.0


class RedisSettings(Section):
    """Where the cache lives."""

    url: Url | None = Field(None, description="Redis server (≥ 8); unset: in this process.")
    timeout: Seconds = Field(0.5, description="Seconds a cache operation may take.")
    max_connections: int = Field(32, ge=1)
    key_prefix: str = Field("hybrid-ai:", min_length=1)


class BackendKind(StrEnum):
    """Which protocol and which readiness probe a backend has."""

    LEMONADE = "lemonade"
    OLLAMA = "ollama"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    EMBEDDED = "embedded"


class ModelSettings(Section):
    """One model of a backend."""

    name: str = Field(min_length=1, description="The name the backend knows it by.")
    context_tokens: int = Field(8192, ge=256)
    max_output_tokens: int = Field(4096, ge=1, description="Sent where the dialect demands one.")
    input_price: float = Field(0.0, ge=0.0, description="US dollars per million tokens in.")
    output_price: float = Field(0.0, ge=0.0, description="US dollars per million tokens out.")
    tools: bool = True
    images: bool = False
    structured_output: bool = True

    @field_validator("name")
    @classmethod
    def _not_auto(cls, name: str) -> str:
        if name == AUTO_MODEL:
            raise ValueError(f"'{AUTO_MODEL}' is the router's own name; give the model another")
        return name


class BackendSettings(Section):
    """One server, or the embedded engine, that answers questions."""

    kind: BackendKind
    base_url: HttpUrl | None = Field(None, description="Up to and without /v1.")
    tier: Tier = Tier.LOCAL
    models: tuple[ModelSettings, ...] = Field(
        (), description="The first is the default. Empty: whatever the server lists as loaded."
    )
    model_path: Path | None = Field(None, description="GGUF file of an embedded backend.")
    api_key_file: Secret | None = None
    priority: int = Field(0, description="Within a tier, higher is asked first.")
    connect_timeout: Seconds = 2.0
    first_token_timeout: Seconds = Field(
        60.0, description="Seconds until a stream's first byte; a whole answer has total_timeout."
    )
    idle_timeout: Seconds = Field(30.0, description="Seconds between two bytes of an answer.")
    total_timeout: Seconds = 600.0
    max_concurrency: int = Field(16, ge=1, description="Requests at the same time; others wait.")
    queue_timeout: Seconds = Field(10.0, description="Seconds a request waits for its turn.")
    retries: int = Field(2, ge=0, le=10, description="Further tries where nothing was streamed.")
    breaker_failures: int = Field(5, ge=1, description="Failures in a row that open the breaker.")
    breaker_reset: Seconds = Field(15.0, description="Seconds until an open breaker tries again.")
    probe_interval: Seconds = Field(15.0, description="Seconds between readiness probes.")

    @field_validator("base_url")
    @classmethod
    def _without_version(cls, url: str | None, info: ValidationInfo) -> str | None:
        """People paste the URL with and without ``/v1``; both mean the same server."""
        if url is None:
            return None
        bare = url.rstrip("/").removesuffix("/v1")
        if info.data.get("kind") is BackendKind.LEMONADE:
            bare = bare.removesuffix("/api")
        return bare.rstrip("/")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.kind is BackendKind.EMBEDDED:
            if self.base_url is not None:
                raise ValueError("an embedded backend runs in this process: remove base_url")
            if self.tier is not Tier.LOCAL:
                raise ValueError("an embedded backend is always of tier 'local'")
        elif self.base_url is None:
            raise ValueError(f"a backend of kind '{self.kind}' needs base_url")
        elif self.model_path is not None:
            raise ValueError("model_path belongs to backends of kind 'embedded' only")
        if self.kind is BackendKind.ANTHROPIC and not self.models:
            raise ValueError("a backend of kind 'anthropic' needs models: name at least one")
        if self.tier is Tier.REMOTE and not self.models:
            raise ValueError("a remote backend needs models with their prices")
        names = [m.name for m in self.models]
        if len(set(names)) != len(names):
            raise ValueError("two models have the same name")
        return self


class EmbedderSettings(Section):
    """What turns text into vectors."""

    model: str = Field(
        BUNDLED_EMBEDDER, description="'bundled', a fastembed model's name, or a folder's path."
    )
    folder: Path | None = Field(None, description="Folder with model.onnx and tokenizer files.")
    threads: int = Field(1, ge=1)
    max_batch: int = Field(32, ge=1, description="Texts embedded together.")
    memory: int = Field(4096, ge=0, description="Recent texts whose vectors are remembered.")


class SemanticCacheSettings(Section):
    """Answers for questions that mean the same."""

    enable: bool = True
    max_error: Fraction = Field(
        0.01, description="Accepted share of wrong answers among all questions asked."
    )
    candidates: int = Field(4, ge=1, le=64, description="Nearest questions that are examined.")


class CacheSettings(Section):
    """Answers given before."""

    enable: bool = True
    ttl: Seconds = Field(86_400.0, description="Seconds an answer is kept.")
    max_entries: int = Field(50_000, ge=1, description="Oldest entries leave beyond this.")
    max_bytes: int = Field(
        256 * 1024 * 1024, ge=1024 * 1024, description="Memory the cache in this process may take."
    )
    max_entry_bytes: int = Field(256 * 1024, ge=1024, description="Longer answers are not kept.")
    single_flight_timeout: Seconds = Field(
        120.0, description="Seconds an equal question waits for the first one's answer."
    )
    semantic: SemanticCacheSettings = SemanticCacheSettings()


class RoutingSettings(Section):
    """Local or remote."""

    local_confidence_threshold: Fraction = Field(
        0.7, description="At or above this confidence the local tier answers."
    )
    daily_budget_usd: float | None = Field(
        None, ge=0.0, description="Once spent (UTC day), the local tier answers; unset: no limit."
    )


class RetrievalSettings(Section):
    """Which stored knowledge goes into a prompt."""

    enable: bool = True
    token_budget: int = Field(1500, ge=0, description="Most tokens of context in a prompt.")
    limits: dict[Collection, Annotated[int, Field(ge=0, le=100)]] = Field(
        {
            Collection.CODEBASE_CONTEXT: 8,
            Collection.SKILLS_PATTERNS: 4,
            Collection.ERROR_SOLUTIONS: 4,
            Collection.INTERACTION_HISTORY: 0,
            Collection.BEST_PRACTICES: 4,
        },
        description="Most items of a collection in one prompt; 0 leaves it out.",
    )
    floors: dict[Collection, Fraction] = Field(
        {}, description="Lowest similarity accepted; default: calibrated for the embedder."
    )
    timeout: Seconds = Field(2.0, description="Seconds after which a request goes on without.")


class ValidationSettings(Section):
    """Which answers are turned down."""

    enable: bool = True
    refusals: bool = Field(True, description="A local model's refusal goes to the next backend.")


class TelemetrySettings(Section):
    """Events in files."""

    enable: bool = True
    max_file_bytes: int = Field(32 * 1024 * 1024, ge=4096)
    max_files: int = Field(8, ge=1, description="Rotated files kept, the current one included.")
    queue_size: int = Field(10_000, ge=16, description="Events waiting to be written.")


class LogLevel(StrEnum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Settings(Section):
    """All options of the coordinator."""

    host: str = Field("127.0.0.1", min_length=1)
    port: int = Field(8092, ge=0, le=65535)
    state_directory: Path = Field(
        Path("~/.local/state/hybrid-ai"), description="Data, telemetry and datasets."
    )
    api_keys_file: Secret | None = Field(
        None, description="One key a line, `name:key`; needed unless host is loopback."
    )
    log_level: LogLevel = LogLevel.INFO
    server: ServerSettings = ServerSettings()
    qdrant: QdrantSettings = QdrantSettings()
    redis: RedisSettings = RedisSettings()
    backends: dict[Name, BackendSettings] = Field(
        {"embedded": BackendSettings(kind=BackendKind.EMBEDDED)}
    )
    embedder: EmbedderSettings = EmbedderSettings()
    cache: CacheSettings = CacheSettings()
    routing: RoutingSettings = RoutingSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    learning: LearningSettings = LearningSettings()
    experiments: dict[Name, ExperimentSettings] = Field(
        {}, description="Variants that are compared by their outcomes, by the experiment's name."
    )
    validation: ValidationSettings = ValidationSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    tracing: TracingSettings = TracingSettings()
    health: HealthSettings = HealthSettings()
    reporting: ReportingSettings = ReportingSettings()

    @property
    def local_url(self) -> str:
        """Where a program on this machine reaches the coordinator."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return self.host in LOOPBACK_HOSTS or self.host.startswith("127.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.is_loopback and self.api_keys_file is None:
            raise ValueError(
                f"host '{self.host}' can be reached from other machines: set api_keys_file, "
                "or set host to 127.0.0.1"
            )
        if not self.backends:
            raise ValueError("backends is empty: nothing could answer; declare at least one")
        return self
