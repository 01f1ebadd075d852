"""The process and its service manager: signals, sd_notify, the watchdog."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import structlog
import systemd.daemon

from agent.loops import Loops

log = structlog.get_logger()


class Signals:
    """SIGTERM and SIGINT set `stop`, SIGHUP sets `reload`.

    Made before start-up: a SIGTERM that comes sooner than its handler ends the process without any clean-up.
    """

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.reload = asyncio.Event()
        self.again = False
        """Whether the service manager should start the agent again after this stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        loop.add_signal_handler(signal.SIGHUP, self.reload.set)
        # The kernel sends it when somebody wants a file that we hold a lease on; the default would end us (fcntl(2)).
        signal.signal(signal.SIGIO, signal.SIG_IGN)


def notify(state: str) -> None:
    """Tell systemd, if it is listening (sd_notify(3))."""
    systemd.daemon.notify(state)


def notify_reloading() -> None:
    """Say that a reload has begun; READY=1 ends it (sd_notify(3), RELOADING=1)."""
    notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")


def watchdog_interval() -> float | None:
    """Seconds between two watchdog messages, half of what systemd allows; None when it wants none."""
    allowed, pid = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not allowed.isdigit() or (pid and pid != str(os.getpid())):
        return None
    return int(allowed) / 2_000_000


async def watchdog(loops: Loops) -> None:
    """Tell systemd that we are alive, for as long as every loop turns; a handled failure is a turn."""
    interval = watchdog_interval()
    told = False
    while interval is not None:
        stuck = loops.stuck(time.monotonic())
        if not stuck:
            notify("WATCHDOG=1")
        elif not told:
            log.error("Loops no longer turn", loops=stuck, todo="systemd will restart the agent; report this")
        told = bool(stuck)
        await asyncio.sleep(interval)
