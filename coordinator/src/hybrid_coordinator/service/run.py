"""``hybrid-coordinator serve``: from settings to a process that systemd can watch over.

Started by hand it is the same without anybody to tell. The parts are beside
this file: what is told (``notify``), the line of text (``status``), the
self-check (``watchdog``), settings read again (``reload``).
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from types import FrameType
from typing import Final

import uvloop

from hybrid_coordinator import __version__
from hybrid_coordinator.api import (
    CoordinatorServer,
    Sessions,
    address_of,
    build_app,
    build_server,
    open_sockets,
    passed_by_systemd,
)
from hybrid_coordinator.app import Application, running
from hybrid_coordinator.errors import HybridError
from hybrid_coordinator.service.notify import Notifier, watchdog_interval
from hybrid_coordinator.service.reload import Reloader, keys_of
from hybrid_coordinator.service.status import StatusLine
from hybrid_coordinator.service.switchboard import Switchboard
from hybrid_coordinator.service.watchdog import Watchdog, check
from hybrid_coordinator.settings import Settings
from hybrid_coordinator.telemetry import Metrics
from hybrid_coordinator.telemetry.logs import configure_logging

_FIRST_CHECK: Final = 60.0
"""Seconds the first answer may take: connections that waited for the start are served with it."""

_CLOSING: Final = 15.0
"""Seconds that closing the rooms may take after the grace period."""

log = logging.getLogger(__name__)


def serve(load: Callable[[], Settings]) -> None:
    """Run the coordinator until it is told to stop; ``load`` reads the settings, again at a reload.

    Raises:
        SettingsError: where a setting turns out impossible on this machine.
        CollectionMismatch: where the collections are another embedder's.
    """
    settings = load()
    configure_logging(settings.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, load))


async def _serve(settings: Settings, load: Callable[[], Settings]) -> None:
    metrics = Metrics()
    failed = metrics.failures.labels(room="service", kind="notify").inc
    notifier = Notifier(os.environ.get("NOTIFY_SOCKET"), failed)
    hangup = asyncio.Event()
    # A person's terminal that is closed ends what runs in it; nothing else means that by SIGHUP.
    if notifier.is_heard or sys.stdin is None or not sys.stdin.isatty():
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, hangup.set)
    async with AsyncExitStack() as stack:
        starting = await stack.enter_async_context(AsyncExitStack())
        await starting.enter_async_context(notifier.more_time())
        notifier.starting("reading keys, opening the port")
        keys = keys_of(settings)
        sockets = open_sockets(settings)
        application = await stack.enter_async_context(running(settings, metrics, notifier.starting))
        sessions = Sessions()
        app = build_app(application.coordinator, settings, keys, sessions=sessions)
        switchboard = Switchboard(app)
        server = build_server(switchboard, settings)
        reloader = Reloader(load, application, switchboard, server, sockets, sessions)
        stack.push_async_callback(reloader.aclose)
        service = _Service(notifier, server, reloader, metrics, hangup)
        stack.push_async_callback(service.aclose)

        def started() -> None:
            _announce(application, settings, sockets)
            service.start(starting)

        server.on_started = started
        server.on_stopping = service.stopping
        # uvicorn raises the signal that ended it once more; our rooms are still open then.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _already_ending)
        await server.serve(sockets=list(sockets))
    log.info("stopped")


class _Service:
    """What goes on beside the requests, once the port is open."""

    def __init__(
        self,
        notifier: Notifier,
        server: CoordinatorServer,
        reloader: Reloader,
        metrics: Metrics,
        hangup: asyncio.Event,
    ) -> None:
        self._notifier = notifier
        self._server = server
        self._reloader = reloader
        self._failures = metrics.failures
        self._hangup = hangup
        self._line = StatusLine(
            notifier.status, lambda: reloader.application, self._counting("status")
        )
        self._watching: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None

    def start(self, starting: AsyncExitStack) -> None:
        """Say that the service is ready once it answers; then keep saying how it is."""
        self._telling = asyncio.create_task(self._tell(starting), name="service")
        self._telling.add_done_callback(self._told)

    def stopping(self, open_answers: int) -> None:
        """Say that the end has begun; the watchdog is fed until it is there."""
        if self._telling is not None:
            self._telling.cancel()
        # They end when their client leaves, and a dashboard may stay open for days.
        self._reloader.application.reporter.end_streams()
        grace = self._reloader.application.settings.server.grace_period
        answers = "1 answer is" if open_answers == 1 else f"{open_answers} answers are"
        text = f"stopping: {answers} being finished, at most {grace:g} s"
        if open_answers == 0:
            text = "stopping: no answer is open"
        log.info("%s", text)
        self._notifier.stopping(text, grace + _CLOSING)

    async def aclose(self) -> None:
        """End what goes on."""
        tasks = [task for task in (self._telling, self._watching) if task is not None]
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended

    def _told(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            # Never ready, or a fault here: end (``aclose`` tells why), and let systemd start anew.
            self._server.should_exit = True

    async def _tell(self, starting: AsyncExitStack) -> None:
        rooms = self._reloader.application.rooms
        sound = partial(check, self._server, rooms)
        await sound(_FIRST_CHECK)
        line = await self._line.now()
        await starting.aclose()
        self._notifier.ready(line)
        interval = watchdog_interval()
        if interval is not None and self._notifier.is_heard:
            watchdog = Watchdog(
                sound,
                feed=self._notifier.alive,
                interval=interval,
                failed=self._counting("self_check"),
                changed=self._soundness,
            )
            self._watching = asyncio.create_task(watchdog.run(), name="watchdog")
        async with asyncio.TaskGroup() as group:
            group.create_task(self._line.run())
            group.create_task(self._reload_when_told())

    def _soundness(self, problem: str | None) -> None:
        self._line.note("check", problem and f"self-check failed: {problem}")

    async def _reload_when_told(self) -> None:
        while True:
            await self._hangup.wait()
            self._hangup.clear()
            await self._reload()

    async def _reload(self) -> None:
        self._notifier.reloading()
        log.info("reloading: reading settings and keys again")
        try:
            async with self._notifier.more_time():
                reloaded = await self._reloader.reload()
        except HybridError as error:
            self._counting("reload")()
            log.error("reload failed, the old settings stay in force: %s", error.message)
            self._line.note("reload", f"reload failed: {error.message.splitlines()[0]}")
        except Exception as error:
            self._counting("reload")()
            log.exception("reload failed, the old settings stay in force")
            self._line.note("reload", f"reload failed: {error!r}")
        else:
            self._line.note("reload", None)
            names = ", ".join(reloaded.waiting)
            self._line.note("restart", f"restart needed for {names}" if names else None)
            changed = ", ".join(reloaded.changed) or "no option changed"
            log.info("reloaded: %s; keys were read again", changed)
        self._notifier.ready(await self._line.now())

    def _counting(self, kind: str) -> Callable[[], None]:
        return self._failures.labels(room="service", kind=kind).inc


def _already_ending(number: int, frame: FrameType | None) -> None:
    """Let the end go on in order."""


def _announce(
    application: Application, settings: Settings, sockets: Sequence[socket.socket]
) -> None:
    """Five lines for the person who started it: what runs, where its data is, what to try."""
    # What was built so far lives as long as the process; the collector need not look at it again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 20, 100)
    # The loop waits at most this long for a thread that computes (the embedder, the writer).
    sys.setswitchinterval(0.0002)
    urls = _urls(settings, sockets)
    backends = ", ".join(
        f"{s.name} ({s.tier.value}, {'ready' if s.usable else s.detail})"
        for s in application.fleet.statuses()
    )
    stores = f"knowledge in {settings.qdrant.url or 'this process'}"
    cache = f"cache in {settings.redis.url or 'this process'}"
    url_option = "" if urls[0].endswith(":8092") else f" --url {urls[0]}"
    lines = (
        f"hybrid-ai {__version__} answers at {'/v1, '.join(urls)}/v1 (OpenAI and Anthropic)",
        f"backends: {backends}",
        f"stores: {stores}, {cache}, embedder {application.rooms.stores.embedder.name}",
        f"data: {settings.state_directory}",
        f'try: hybrid-coordinator ask{url_option} "What is NixOS?"',
    )
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def _urls(settings: Settings, sockets: Sequence[socket.socket]) -> list[str]:
    """Where it answers: as the settings name it, or where systemd's sockets listen."""
    if not passed_by_systemd():
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        return [f"http://{host}:{sockets[0].getsockname()[1]}"]
    return [
        address_of(one) if one.family == socket.AF_UNIX else f"http://{address_of(one)}"
        for one in sockets
    ]
