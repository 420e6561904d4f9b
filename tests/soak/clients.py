"""Clients that do not give up: each insists on answers across kills and notes what it is told."""

from __future__ import annotations

import asyncio
import random
import uuid
from typing import Any

import aiohttp

from tests.soak.ledger import Ledger, Promise
from tests.soak.lives import Lives

OUTCOMES = ("success", "partial", "failure")
THINK_SECONDS = 0.02
PATIENCE = aiohttp.ClientTimeout(total=30)


class Client:
    """One of several. What it tracked only it says something of, so it knows what is last."""

    def __init__(self, lives: Lives, ledger: Ledger, chance: random.Random) -> None:
        self._lives = lives
        self._ledger = ledger
        self._chance = chance
        self._own: list[Promise] = []
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        """Work until told to stop; what was begun is brought to its end."""
        actions = {self._track: 5, self._tell: 4, self._chat: 2, self._read: 2}
        async with aiohttp.ClientSession(timeout=PATIENCE) as session:
            self._session = session
            while not self.stopping.is_set():
                (action,) = self._chance.choices(list(actions), list(actions.values()))
                await action()
                await asyncio.sleep(self._chance.expovariate(1 / THINK_SECONDS))

    async def _track(self) -> None:
        promise = Promise(
            str(uuid.UUID(int=self._chance.getrandbits(128), version=4)),
            self._ledger.next_question(),
            "Slowly. " * self._chance.choice((1, 10, 100, 1000)),
        )
        body = {
            "interaction_id": promise.id,
            "query": promise.query,
            "response": promise.response,
            "model_used": "elsewhere",
            "tokens_used": 10,
        }
        for _ in range(self._chance.choice((1, 1, 1, 2))):
            status, answer = await self._insist("POST", "/v1/interactions", body)
            if (status, answer.get("interaction_id")) != (201, promise.id):
                self._ledger.breach(f"tracking {promise.id} was answered {status}: {answer}")
                return
        self._ledger.keep(promise)
        self._own.append(promise)

    async def _tell(self) -> None:
        if not self._own:
            return
        promise = self._chance.choice(self._own[-200:])
        value = self._chance.choice(OUTCOMES)
        body: dict[str, Any] = {"outcome": value}
        if promise.user_feedback is None and self._chance.random() < 0.3:
            body["user_feedback"] = self._chance.choice((-1, 0, 1))
        expected = 200
        if promise.outcome not in (None, value):
            if self._chance.random() < 0.5:
                body["replace"] = True
            else:
                expected = 409
        status, answer = await self._insist("POST", f"/v1/interactions/{promise.id}/outcome", body)
        if status != expected or (status == 200 and answer["outcome"] != value):
            self._ledger.breach(f"{body} of {promise} was answered {status}: {answer}")
        elif status == 200:
            promise.outcome = value
            promise.user_feedback = body.get("user_feedback", promise.user_feedback)
            self._ledger.counted["outcomes acknowledged"] += 1
        else:
            self._ledger.counted["contradictions refused"] += 1

    async def _chat(self) -> None:
        """Ask once. What was answered is promised once its outcome is acknowledged."""
        query = self._ledger.next_question()
        body = {"model": "auto", "messages": [{"role": "user", "content": query}]}
        await self._lives.up.wait()
        life = self._lives.life
        try:
            url = f"{self._lives.url}/v1/chat/completions"
            async with self._session.post(url, json=body) as response:
                await response.read()
                if response.status != 200:
                    self._ledger.counted["questions not answered"] += 1
                    return
                id_ = response.headers["x-hybrid-interaction-id"]
        except (aiohttp.ClientError, TimeoutError):
            self._ledger.counted["questions not answered"] += 1
            return
        self._ledger.counted["questions answered"] += 1
        value = self._chance.choice(OUTCOMES)
        path = f"/v1/interactions/{id_}/outcome"
        status, answer = await self._insist("POST", path, {"outcome": value})
        if status == 200:
            promise = Promise(id_, query, None, value)
            self._ledger.keep(promise)
            self._own.append(promise)
            self._ledger.counted["outcomes acknowledged"] += 1
        elif status == 404 and self._lives.life != life:
            # It was killed between the answer's last byte and the disk: never acknowledged.
            self._ledger.counted["answers killed before they were on disk"] += 1
        else:
            self._ledger.breach(f"the outcome of answer {id_} was answered {status}: {answer}")

    async def _read(self) -> None:
        if not self._own:
            return
        promise = self._chance.choice(self._own)
        status, answer = await self._insist("GET", f"/v1/interactions/{promise.id}")
        if status != 200:
            self._ledger.breach(f"reading {promise.id} was answered {status}: {answer}")
        else:
            self._ledger.compare(promise, answer["payload"], "read under way")
            self._ledger.counted["reads compared"] += 1

    async def _insist(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """The first answer that is one, however many kills come in between."""
        while True:
            await self._lives.up.wait()
            try:
                url = f"{self._lives.url}{path}"
                async with self._session.request(method, url, json=body) as response:
                    answer = await response.json()
            except (aiohttp.ClientError, TimeoutError, ValueError):
                self._ledger.counted["requests cut off and sent again"] += 1
                await asyncio.sleep(0.01)
                continue
            if response.status != 503:
                return response.status, answer
            self._ledger.counted["requests refused for now (503)"] += 1
            await asyncio.sleep(0.1)
