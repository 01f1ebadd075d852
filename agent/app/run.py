"""The daemon's run: from the first signal handler to the last closed socket."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import structlog

from agent import __version__
from agent.adapters.store import CurrentStore
from agent.api.listening import serving, sockets
from agent.app.background import Background
from agent.app.build import Agent, build
from agent.app.hostfiles import tell_differences
from agent.config import ConfigError, Live, reload
from agent.errors import AgentError
from agent.lifecycle import Signals, notify, notify_reloading
from agent.log import Logging
from agent.services.supervisor import Supervisor

log = structlog.get_logger()

EX_CONFIG = os.EX_CONFIG
"""Exit status of a configuration that cannot be used; the unit is not restarted for it."""
FIRST_LOOK = 2.0
"""Seconds that READY waits for the first look at the units; without D-Bus the agent serves what it can."""


async def run(path: Path, live: Live) -> int:
    """Run the daemon until a signal stops it; returns the exit status."""
    status = 0
    logging = Logging(live.config.log.level, live.config.log.format, head_uid=live.config.head.uid)
    signals = Signals()
    try:
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            background = Background(group)
            agent = await build(path, live, stack, background, lambda: logging.lost)
            background.start(partial(_reloads, path, live, signals, logging, agent.supervisor))
            if agent.lacking is not None:
                background.do(partial(_start_again, agent.lacking, signals))
            await _serve(agent, live, signals)
            background.stop()
            if signals.again:
                status = os.EX_TEMPFAIL
    except* ConfigError as group:
        for err in _leaves(group):
            log.error("Configuration refused", reason=str(err))
        status = EX_CONFIG
    except* AgentError as group:
        for err in _leaves(group):
            log.error("Agent failed", reason=str(err))
        status = 1
    except* Exception as group:  # a bug ends the process in order, with its traceback in the journal
        log.error("Agent met a bug", exc_info=group)
        status = 1
    finally:
        logging.close()
    return status


async def _serve(agent: Agent, live: Live, signals: Signals) -> None:
    """Answer until a signal says stop."""
    listeners = sockets(live.config)
    if agent.tls is None:
        listeners = [sock for sock in listeners if sock.family == socket.AF_UNIX]
    context = agent.tls.context if agent.tls else None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(FIRST_LOOK):
            await agent.supervisor.ready()
    async with serving(agent.api, listeners, context, lambda: live.config.api.drain):
        notify("READY=1")
        log.info("Agent started", version=__version__, head_uid=live.config.head.uid)
        await signals.stop.wait()
        notify("STOPPING=1")
        log.info("Agent is stopping")
        await agent.heartbeat.farewell()


async def _reloads(path: Path, live: Live, signals: Signals, logging: Logging, supervisor: Supervisor) -> None:
    """Read the configuration again on SIGHUP: take what can change, name what cannot, refuse what is wrong."""
    while True:
        await signals.reload.wait()
        signals.reload.clear()
        notify_reloading()
        try:
            changed, later = await asyncio.to_thread(reload, live, path)
        except ConfigError as err:
            log.error("Configuration refused", reason=str(err), todo="mend the file and reload again; nothing changed")
        else:
            logging.set_level(live.config.log.level)
            supervisor.reselect()
            await asyncio.to_thread(tell_differences, live)
            log.info("Configuration reloaded", changed=changed, needs_restart=later)
        notify("READY=1")


async def _start_again(store: CurrentStore, signals: Signals) -> None:
    """Stop once the database can be used, to be started anew: that start makes the certificate this one could not."""
    changed = asyncio.Event()
    store.on_change(lambda _kinds: changed.set())
    while store.problem is not None:
        await changed.wait()
        changed.clear()
    log.info("Starting again, now that the database can be used")
    signals.again = True
    signals.stop.set()


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for err in group.exceptions:
        if isinstance(err, BaseExceptionGroup):
            yield from _leaves(err)
        else:
            yield err
