"""The routing policy: pinned model, capability, health, budget, then confidence.

Each step narrows the backends a request may go to; the first that leaves one
tier gives the decision its reason. Pure: it asks nobody, waits for nothing,
and the same arguments give the same decision. Carrying it out, and falling
back when a backend fails after all, is the fleet's business.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field

from hybrid_coordinator.conversation import AUTO_MODEL, ChatRequest, Tier
from hybrid_coordinator.errors import Attempt, NoBackend, UnknownModel
from hybrid_coordinator.routing.budget import seconds_to_midnight
from hybrid_coordinator.routing.capability import Needs
from hybrid_coordinator.routing.classifier import Classifier, Estimate
from hybrid_coordinator.routing.decision import BackendView, Candidate, Decision, ReasonClass
from hybrid_coordinator.routing.features import FloatArray, extract
from hybrid_coordinator.settings import ModelSettings, RoutingSettings

EXPECTED_OUTPUT_TOKENS = 512
"""Output assumed when two backends' prices are compared for a request without a limit."""

_NAMES_SHOWN = 8


@dataclass(frozen=True, slots=True)
class _Offer:
    """A backend, and which of its models are in question, the preferred one first."""

    view: BackendView
    models: tuple[ModelSettings, ...]

    @property
    def tier(self) -> Tier:
        return self.view.settings.tier


@dataclass(slots=True)
class _Narrowing:
    """The offers that are left, who left and why, and what settled the tier."""

    offers: list[_Offer]
    passed_over: dict[str, str] = field(default_factory=dict)
    reason: ReasonClass | None = None
    detail: str = ""

    @property
    def tiers(self) -> set[Tier]:
        return {offer.tier for offer in self.offers}

    def keep(self, offers: list[_Offer], reason: ReasonClass, why: str) -> None:
        """Go on with ``offers``; ``reason`` holds if one of two tiers has left by it.

        ``why`` may name the tier that stays as ``{tier}``.
        """
        before = self.tiers
        self.offers = offers
        if len(before) == 2 and len(self.tiers) == 1:
            self.settle(reason, why.format(tier=next(iter(self.tiers)).value))

    def settle(self, reason: ReasonClass, detail: str) -> None:
        self.reason, self.detail = reason, detail

    def reasons(self, offers: Sequence[_Offer]) -> str:
        """Why each of ``offers`` was passed over, as one phrase."""
        return "; ".join(f"{o.view.name}: {self.passed_over[o.view.name]}" for o in offers)


class Router:
    """Decides for each request which backends are asked, in which order."""

    def __init__(
        self,
        classifier: Classifier,
        settings: RoutingSettings,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._classifier = classifier
        self._threshold = settings.local_confidence_threshold
        self._budget = settings.daily_budget_usd
        self._now = now

    def at(self, threshold: float) -> Router:
        """The same router with another ``local_confidence_threshold``."""
        other = copy(self)
        other._threshold = threshold
        return other

    def decide(
        self,
        request: ChatRequest,
        *,
        statuses: Sequence[BackendView],
        vector: FloatArray | None = None,
        best_context_score: float | None = None,
        prompt_tokens: int = 0,
        spent_today_usd: float = 0.0,
    ) -> Decision:
        """Where ``request`` goes.

        ``vector`` is the question's embedding by the configured embedder, or
        ``None`` where there is none; ``prompt_tokens`` the length of the whole
        conversation.

        Raises:
            UnknownModel: the request names a model or backend that does not exist.
            Unsupported: it needs something that no backend offers.
            ContextTooLong: it is longer than every context that could serve it.
            NoBackend: nothing is left that may be asked.
        """
        pinned = request.model != AUTO_MODEL
        left = _Narrowing(_named(request.model, statuses) if pinned else _all(statuses))
        if pinned:
            who = f"the experiment {request.variant}" if request.variant else "the client"
            left.settle(ReasonClass.PINNED, f"{who} asked for {request.model}")
        else:
            _note_missing_tier(left, statuses)
        _keep_known(left)
        _keep_capable(left, Needs.of(request, prompt_tokens))
        _keep_usable(left)
        estimate: Estimate | None = None
        if not pinned:
            self._keep_affordable(left, spent_today_usd)
            estimate = self._classifier.estimate(
                extract(
                    request, prompt_tokens=prompt_tokens, best_context_score=best_context_score
                ),
                request.question,
                vector,
            )
        first = self._tier(left, estimate)
        ordered = _in_order(left.offers, first, prompt_tokens, request.max_output_tokens)
        return Decision(
            tier=ordered[0].tier,
            candidates=tuple(Candidate(o.view.name, o.models[0]) for o in ordered),
            reason=left.reason or ReasonClass.LOW_CONFIDENCE,
            detail=left.detail,
            threshold=self._threshold,
            confidence=estimate.confidence if estimate else None,
            gain=estimate.gain if estimate else None,
            complexity=estimate.complexity if estimate else None,
            passed_over=left.passed_over,
            spent_usd=spent_today_usd,
        )

    def _keep_affordable(self, left: _Narrowing, spent: float) -> None:
        """Once the day's money is spent, nobody who costs money is asked."""
        if self._budget is None or spent < self._budget:
            return
        why = f"{spent:.2f} of {self._budget:.2f} USD are spent today"
        local = [o for o in left.offers if o.tier is Tier.LOCAL]
        for offer in left.offers:
            if offer.tier is Tier.REMOTE:
                left.passed_over[offer.view.name] = why
        if not local:
            raise NoBackend(
                f"the daily budget allows no remote backend ({why}) and no local backend can "
                "serve this request: raise routing.daily_budget_usd, name a model to pay for "
                "it all the same, or wait until midnight UTC",
                attempts=[Attempt(name, reason) for name, reason in left.passed_over.items()],
                retry_after=seconds_to_midnight(self._now()),
            )
        left.keep(local, ReasonClass.BUDGET, f"{why}, so the {{tier}} tier answers")

    def _tier(self, left: _Narrowing, estimate: Estimate | None) -> Tier:
        """The tier to ask first, where both are still there by confidence."""
        tiers = left.tiers
        if estimate is None or len(tiers) == 1:
            return Tier.LOCAL if Tier.LOCAL in tiers else Tier.REMOTE
        confident = estimate.confidence >= self._threshold
        relation = "reaches" if confident else "is below"
        verdict = f"confidence {estimate.confidence:.3f} {relation} the threshold"
        if left.reason is ReasonClass.HEALTH:
            return Tier.LOCAL if confident else Tier.REMOTE
        left.settle(
            ReasonClass.CONFIDENT_LOCAL if confident else ReasonClass.LOW_CONFIDENCE,
            f"{verdict} {self._threshold:.3g} ({estimate.complexity.value}, paying would gain "
            f"{100 * estimate.gain:.1f} % accuracy)",
        )
        return Tier.LOCAL if confident else Tier.REMOTE


def _all(statuses: Sequence[BackendView]) -> list[_Offer]:
    return [_Offer(view, tuple(view.models)) for view in statuses]


def _named(name: str, statuses: Sequence[BackendView]) -> list[_Offer]:
    """The offers a client means by ``name``: a model, ``backend/model``, or a backend."""
    offers = [
        _Offer(view, tuple(m for m in view.models if m.name == name))
        for view in statuses
        if any(m.name == name for m in view.models)
    ]
    if offers:
        return offers
    backend, _, model = name.partition("/")
    for view in statuses:
        if view.name == backend:
            models = tuple(m for m in view.models if m.name == model or not model)
            if models or not view.models:
                return [_Offer(view, models)]
    known = [AUTO_MODEL, *dict.fromkeys(m.name for view in statuses for m in view.models)]
    more = f" and {len(known) - _NAMES_SHOWN} more" if len(known) > _NAMES_SHOWN else ""
    silent = [f"{view.name} ({view.detail})" for view in statuses if not view.models]
    raise UnknownModel(
        f"no backend offers the model '{name[:100]}'; there is {', '.join(known[:_NAMES_SHOWN])}"
        f"{more}" + (f"; unknown is what these offer: {', '.join(silent)}" if silent else ""),
        field="model",
    )


def _note_missing_tier(left: _Narrowing, statuses: Sequence[BackendView]) -> None:
    configured = {view.settings.tier for view in statuses}
    if Tier.REMOTE not in configured:
        left.settle(ReasonClass.NO_REMOTE, "no remote backend is configured")
    elif Tier.LOCAL not in configured:
        left.settle(ReasonClass.NO_LOCAL, "no local backend is configured")


def _keep_known(left: _Narrowing) -> None:
    """Drop backends of which no model is known: a server that never answered a probe."""
    unknown = [o for o in left.offers if not o.models]
    for offer in unknown:
        left.passed_over[offer.view.name] = offer.view.detail or "no model is loaded"
    if len(unknown) == len(left.offers):
        raise NoBackend(
            f"no backend is ready: {left.reasons(unknown) or 'none is configured'}",
            attempts=[Attempt(name, why) for name, why in left.passed_over.items()],
        )
    why = f"only the {{tier}} tier is ready: {_literal(left.reasons(unknown))}"
    left.keep([o for o in left.offers if o.models], ReasonClass.HEALTH, why)


def _keep_capable(left: _Narrowing, needs: Needs) -> None:
    """Keep of each backend the models that can serve the request.

    Where no context holds the prompt and all the output allowed, one that
    holds the prompt and a short answer is accepted: the limit is an upper
    bound, not a wish.
    """
    for least in (False, True):
        capable: list[_Offer] = []
        unable: dict[str, str] = {}
        for offer in left.offers:
            models = tuple(m for m in offer.models if needs.shortfall(m, least=least) is None)
            if models:
                capable.append(_Offer(offer.view, models))
            else:
                unable[offer.view.name] = needs.shortfall(offer.models[0], least=least) or ""
        if capable:
            break
    else:
        raise needs.refuse([m for offer in left.offers for m in offer.models])
    left.passed_over.update(unable)
    gone = [o for o in left.offers if o.view.name in unable]
    why = f"only the {{tier}} tier can serve it: {_literal(left.reasons(gone))}"
    left.keep(capable, ReasonClass.CAPABILITY, why)


def _keep_usable(left: _Narrowing) -> None:
    """Drop backends that are not ready, unless none is: then all stay, for the fleet to try."""
    idle = [o for o in left.offers if not o.view.usable]
    for offer in idle:
        left.passed_over[offer.view.name] = offer.view.detail or "not ready"
    if len(idle) == len(left.offers):
        left.settle(ReasonClass.HEALTH, f"no capable backend is ready: {left.reasons(idle)}")
        for offer in idle:
            del left.passed_over[offer.view.name]
        return
    why = f"only the {{tier}} tier is ready: {_literal(left.reasons(idle))}"
    left.keep([o for o in left.offers if o.view.usable], ReasonClass.HEALTH, why)


def _in_order(
    offers: list[_Offer], first: Tier, prompt_tokens: int, output_tokens: int | None
) -> list[_Offer]:
    """The tier asked first before the other; in a tier by priority, then price, then name."""
    output = EXPECTED_OUTPUT_TOKENS if output_tokens is None else output_tokens

    def rank(offer: _Offer) -> tuple[bool, int, float, str]:
        model = offer.models[0]
        price = prompt_tokens * model.input_price + output * model.output_price
        return (offer.tier is not first, -offer.view.settings.priority, price, offer.view.name)

    return sorted(offers, key=rank)


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
