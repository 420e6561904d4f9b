"""From the story of one answered request to what learning keeps of it.

Turns a finished ``Trace`` and its answer into raw interactions: the request's
own, and one for each local answer that validation turned down on the way.
Keeping them is the learning room's business.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from hybrid_coordinator.cache import Lookup, semantic_eligible
from hybrid_coordinator.conversation import ChatRequest, Completion, Json, Tier
from hybrid_coordinator.knowledge.store import Vector
from hybrid_coordinator.learning.entries import RawInteraction
from hybrid_coordinator.learning.intake import Observed
from hybrid_coordinator.settings import Settings
from hybrid_coordinator.trace import Trace


def observed(
    trace: Trace,
    completion: Completion,
    lookup: Lookup | None,
    vector: Vector | None,
    settings: Settings,
    now: float,
) -> Observed | None:
    """What learning is told of an answered request.

    None where nothing was asked or answered in words: the steps of an agent
    between its tools teach nothing by themselves.
    """
    request = trace.request
    if not request.question.strip() or not completion.text.strip():
        return None
    whole = RawInteraction(
        id=request.interaction_id,
        caller=request.caller.id,
        query=request.question,
        response=completion.text,
        timestamp=now,
        agent_type=request.agent_type,
        model_used=trace.model.name if trace.model else completion.model,
        backend=trace.backend or "",
        route=trace.route or "",
        cache_status=trace.cache.value,
        experiment=request.variant,
        context_ids=trace.context.ids if trace.context else (),
        input_tokens=trace.usage.input_tokens,
        output_tokens=trace.usage.output_tokens,
        cost_usd=trace.cost_usd,
        latency_ms=trace.elapsed * 1000,
        turns=max(1, request.turns),
        tool_calls=_tool_calls(request) + len(completion.tool_calls),
        before=_before(request),
    )
    key = lookup.key.exact if lookup is not None and lookup.key is not None else ""
    # In a conversation "and then?" means something else each time it is asked.
    alone = vector if semantic_eligible(request).ok else None
    return Observed(whole, _turned_down(trace, whole, settings), key, alone)


def _turned_down(
    trace: Trace, whole: RawInteraction, settings: Settings
) -> tuple[RawInteraction, ...]:
    """The local answers that were rejected before another backend gave this one."""
    found = []
    for number, rejected in enumerate(trace.rejections):
        backend = settings.backends.get(rejected.candidate.backend)
        if backend is None or backend.tier is not Tier.LOCAL or not rejected.text.strip():
            continue
        found.append(
            RawInteraction(
                id=str(uuid.uuid5(uuid.UUID(whole.id), f"rejected:{number}")),
                caller=whole.caller,
                query=whole.query,
                response=rejected.text,
                timestamp=whole.timestamp,
                agent_type=whole.agent_type,
                model_used=rejected.candidate.model.name,
                backend=rejected.candidate.backend,
                route=f"{Tier.LOCAL.value}:{rejected.candidate.backend}",
                cache_status=whole.cache_status,
                experiment=whole.experiment,
                turns=whole.turns,
                before=whole.before,
                parent=whole.id,
                rejection=rejected.verdict.rejection.value,
            )
        )
    return tuple(found)


def _before(request: ChatRequest) -> Sequence[Json]:
    """The messages before the last question; what came after it belongs to the answer."""
    for index in range(len(request.messages) - 1, -1, -1):
        if request.messages[index].get("role") == "user":
            return request.messages[:index]
    return ()


def _tool_calls(request: ChatRequest) -> int:
    return sum(len(message.get("tool_calls") or ()) for message in request.messages)
