"""What an experiment's variant changes about one request.

The variant is chosen in ``learning.experiments``; here it is carried out:
another threshold, model or prompt, or no stored knowledge. The pipeline asks
one object and knows nothing of experiments otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from hybrid_coordinator.conversation import AUTO_MODEL, ChatRequest
from hybrid_coordinator.learning.experiments import Assignment
from hybrid_coordinator.routing import Router


@dataclass(frozen=True, slots=True)
class Trial:
    """How one request is answered: ``request`` as it goes on, and what is done otherwise."""

    request: ChatRequest
    threshold: float | None = None
    augmentation: bool = True
    prompt: str | None = None

    def router(self, router: Router) -> Router:
        """The router that decides for this request."""
        return router if self.threshold is None else router.at(self.threshold)


def trial_of(
    request: ChatRequest, assignment: Assignment | None, offered: Callable[[str], bool]
) -> Trial:
    """The request under the variant it was assigned.

    ``offered`` says whether some backend has a model of that name: a variant
    whose model nobody has does not take part, so that its outcomes are not
    those of another model.
    """
    if assignment is None:
        return Trial(request)
    variant = assignment.settings
    body = request.body
    if variant.model is not None:
        if not offered(variant.model):
            return Trial(request)
        if request.model == AUTO_MODEL:
            body = {**body, "model": variant.model}
    return Trial(
        replace(request, body=body, variant=assignment.label),
        threshold=variant.local_confidence_threshold,
        augmentation=variant.augmentation is not False,
        prompt=variant.prompt,
    )
