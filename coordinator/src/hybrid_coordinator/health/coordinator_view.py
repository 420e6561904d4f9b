"""What the running coordinator says of itself, by ``/health`` and ``/ready``.

Both paths are open, so no key is needed. Other checks compare what they find
with this view: a store that answers here but not there is a fault too (a
filter between the two, say; lesson 11). Nothing here decides a level.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx
from pydantic import BaseModel, ValidationError

from hybrid_coordinator.gateway import PartState


class PartView(BaseModel):
    """One part as the coordinator sees it; ``state`` is a ``PartState``'s, or a later version's."""

    state: str
    detail: str = ""

    @property
    def ready(self) -> bool:
        return self.state == PartState.READY

    @property
    def loading(self) -> bool:
        """Whether a model is on its way into memory and nothing has gone wrong so far."""
        return self.detail.startswith("loading ") and "failed" not in self.detail


class _ReadyDocument(BaseModel):
    ready: bool
    parts: dict[str, PartView]


@dataclass(frozen=True, slots=True)
class View:
    """``alive``: it answered ``/health``. ``ready`` is None where ``/ready`` gave no answer.

    ``trouble`` says what went wrong in either case.
    """

    url: str
    alive: bool
    ready: bool | None = None
    parts: Mapping[str, PartView] = field(default_factory=dict)
    trouble: str = ""

    def part(self, name: str) -> PartView | None:
        """A part by its name; None where nothing is known of it."""
        return self.parts.get(name)

    def under(self, prefix: str) -> dict[str, PartView]:
        """All parts whose name begins so, by the rest of their name."""
        return {
            name.removeprefix(prefix): part
            for name, part in self.parts.items()
            if name.startswith(prefix)
        }


async def look_at_coordinator(url: str, limit: float) -> View:
    """Ask the coordinator at ``url``; does not raise."""
    # No proxy: it is this machine, or an address that was given on purpose.
    try:
        client = httpx.AsyncClient(base_url=url, timeout=limit, trust_env=False)
    except httpx.InvalidURL as error:
        return View(url, alive=False, trouble=f"that is no address ({error})")
    async with client:
        health, ready = await asyncio.gather(
            _get(client, "/health", limit), _get(client, "/ready", limit)
        )
    if isinstance(health, str):
        return View(url, alive=False, trouble=health)
    if health.status_code != httpx.codes.OK:
        what = f"/health answers with status {health.status_code}: another program has this port"
        return View(url, alive=False, trouble=what)
    if isinstance(ready, str):
        return View(url, alive=True, trouble=ready)
    try:
        document = _ReadyDocument.model_validate_json(ready.content)
    except ValidationError:
        what = f"/ready answers with status {ready.status_code} and something else than readiness"
        return View(url, alive=True, trouble=what)
    return View(url, alive=True, ready=document.ready, parts=document.parts)


async def _get(client: httpx.AsyncClient, path: str, limit: float) -> httpx.Response | str:
    """The answer, or why there is none."""
    try:
        async with asyncio.timeout(limit):
            return await client.get(path)
    except (TimeoutError, httpx.TimeoutException):
        return f"{path} does not answer within {limit:.1f} s"
    except httpx.HTTPError as error:
        return f"{path} does not answer ({str(error) or type(error).__name__})"
