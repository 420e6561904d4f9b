"""What a variant changes about one request."""

from __future__ import annotations

from hybrid_coordinator.cache.key import cache_key
from hybrid_coordinator.conversation import LOOPBACK_CALLER, ChatRequest, Dialect
from hybrid_coordinator.learning.experiments import Assignment
from hybrid_coordinator.learning_settings import VariantSettings
from hybrid_coordinator.trials import Trial, trial_of


def request(model: str = "auto") -> ChatRequest:
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    return ChatRequest(Dialect.OPENAI, body, LOOPBACK_CALLER, "id")


def trial(asked: ChatRequest, *, offered: bool = True, **variant: object) -> Trial:
    assignment = Assignment("size", "small", VariantSettings.model_validate(variant))
    return trial_of(asked, assignment, lambda _: offered)


def test_without_an_assignment_nothing_changes() -> None:
    asked = request()
    assert trial_of(asked, None, lambda _: True) == Trial(asked)


def test_a_variant_is_named_on_the_request_and_leaves_the_clients_as_it_was() -> None:
    asked = request()
    found = trial(asked, local_confidence_threshold=0.9, augmentation=False, prompt="Be brief.")
    assert found.request.variant == "size/small"
    assert asked.variant == ""
    assert (found.threshold, found.augmentation, found.prompt) == (0.9, False, "Be brief.")


def test_a_model_is_asked_for_only_where_the_client_left_the_choice() -> None:
    assert trial(request(), model="qwen").request.model == "qwen"
    assert trial(request("gpt"), model="qwen").request.model == "gpt"


def test_a_variant_whose_model_nobody_offers_takes_no_part() -> None:
    asked = request()
    assert trial(asked, offered=False, model="qwen").request is asked


def test_answers_of_two_variants_are_two_answers_to_the_cache() -> None:
    plain = cache_key(request(), "embedder")
    one = cache_key(trial(request(), prompt="Be brief.").request, "embedder")
    other = cache_key(
        trial_of(request(), Assignment("size", "large", VariantSettings()), lambda _: True).request,
        "embedder",
    )
    assert len({plain.exact, one.exact, other.exact}) == 3
    assert len({plain.partition, one.partition, other.partition}) == 3
