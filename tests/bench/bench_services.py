"""GET /head/services: CPU for a request against a bare aiohttp handler; and how long a death takes to be in the table.

Both servers run in one booted head and answer the same bytes over a Unix socket, keep-alive, in interleaved rounds;
CPU is what the scheduler counted for all threads of the process. A death is timed from systemd's own timestamp of it
to the new table being there to be answered, next to a bare D-Bus client that only notes when the signal arrives.
"""

from __future__ import annotations

import asyncio
import json
import socket
import statistics
import time
from collections.abc import Callable
from typing import Any

import structlog
from dbus_fast import Message
from dbus_fast.aio import MessageBus
from typing_extensions import override

from agent.adapters.clock import SystemClock
from agent.adapters.systemd.units import SystemdUnits
from agent.config import Config, Live
from agent.loops import Loops
from agent.ports import UnitEvent
from agent.services.supervisor import Supervisor
from tests.support.heads import Head, Heads
from tests.support.heads.head import SOCKET, UNIT, wait_for
from tests.system.demo.throwaway import furnish

ROUNDS, REQUESTS = 9, 3000
DEATHS = 30
BARE_SOCKET = "/run/bare.sock"
BARE = """\
import sys
sys.path.insert(0, "/usr/lib/clusterware-head-agent/lib")
from aiohttp import web
body = open("/run/bare.json", "rb").read()
async def answer(request):
    return web.Response(body=body, content_type="application/json")
app = web.Application()
app.router.add_get("/head/services", answer)
web.run_app(app, path="/run/bare.sock", access_log=None, print=None)
"""
SUBJECT = "clusterware-bench.service"
GET = b"GET /head/services HTTP/1.1\r\nHost: head\r\n\r\n"


class Subject:
    """One server that is measured: its socket, its process, and the CPU that each round took."""

    def __init__(self, head: Head, path: str, unit: str) -> None:
        self.head, self.unit = head, unit
        self.costs: list[float] = []
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(str(head.path(path)))

    def ask(self) -> bytes:
        """One request; returns the body."""
        self._socket.sendall(GET)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._socket.recv(65536)
        header, _, body = data.partition(b"\r\n\r\n")
        length = int(header.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += self._socket.recv(65536)
        return body

    def round(self) -> None:
        """Ask many times and note the CPU for each request, in microseconds."""
        before = self._cpu()
        for _ in range(REQUESTS):
            self.ask()
        self.costs.append((self._cpu() - before) / REQUESTS / 1000)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _cpu(self) -> int:
        pid = self.head.show(self.unit, "MainPID")
        lines = self.head.run("sh", "-c", f"cat /proc/{pid}/task/*/schedstat").stdout.splitlines()
        return sum(int(line.split()[0]) for line in lines)


def requests(head: Head) -> None:
    """CPU for a request."""
    agent = Subject(head, SOCKET, UNIT)
    wait_for(lambda: b'"activating"' not in agent.ask(), "the agent's own row to settle")
    head.write("/run/bare.json", agent.ask())
    head.write("/run/bare.py", BARE)
    head.run("systemd-run", "--unit=bare", "/usr/bin/python3", "-I", "/run/bare.py")
    wait_for(lambda: head.path(BARE_SOCKET).exists(), "the bare server")
    bare = Subject(head, BARE_SOCKET, "bare.service")
    same = agent.ask() == bare.ask()
    for number in range(ROUNDS + 1):
        for subject in (bare, agent):
            subject.round()
            if not number:  # warming up
                subject.costs.clear()
    bare_cost, agent_cost = statistics.median(bare.costs), statistics.median(agent.costs)
    size = len(json.loads(agent.ask())["data"])
    print(f"GET /head/services, {size} services, the same bytes: {same}; CPU for a request, {ROUNDS} rounds:")
    print(
        f"  bare aiohttp {bare_cost:.1f} us, agent {agent_cost:.1f} us, ratio {agent_cost / bare_cost:.2f} (goal: 1.3)"
    )
    print(f"  rounds' ratios: {', '.join(f'{a / b:.2f}' for a, b in zip(agent.costs, bare.costs, strict=True))}")
    agent.close()
    bare.close()


class Stamping(SystemdUnits):
    """SystemdUnits that calls back after each event was taken in."""

    after: Callable[[], None]

    @override
    async def run(self, hear: Callable[[UnitEvent], None]) -> None:
        """As told, then `after`."""

        def both(event: UnitEvent) -> None:
            hear(event)
            self.after()

        await super().run(both)


async def deaths(head: Head) -> None:
    """From systemd's timestamp of a death to the table that shows it."""
    head.write(f"/etc/systemd/system/{SUBJECT}", "[Service]\nExecStart=/bin/sleep infinity\n")
    head.systemctl("daemon-reload")
    units = Stamping(head.bus_address)
    live = Live(Config())
    supervisor = Supervisor(units, live, Loops(), SystemClock())
    shown: dict[int, float] = {}
    heard: dict[int, float] = {}
    news = asyncio.Event()

    def look() -> None:
        unit = supervisor.unit(SUBJECT)
        if unit is not None and unit.active_state == "failed" and unit.since not in shown:
            assert supervisor.table
            shown[unit.since] = time.time() - unit.since / 1e6
            news.set()

    units.after = look
    bare = await MessageBus(bus_address=head.bus_address).connect()
    rule = "type='signal',interface='org.freedesktop.DBus.Properties',arg0='org.freedesktop.systemd1.Unit'"
    bare.add_message_handler(lambda message: note(message, heard))
    dbus = "org.freedesktop.DBus"
    await bare.call(Message(dbus, "/org/freedesktop/DBus", dbus, "AddMatch", signature="s", body=[rule]))
    running = asyncio.create_task(supervisor.run())
    await supervisor.ready()
    for _ in range(DEATHS):
        await asyncio.to_thread(head.systemctl, "start", SUBJECT)
        news.clear()
        await asyncio.to_thread(head.systemctl, "kill", "--signal=KILL", SUBJECT)
        async with asyncio.timeout(10):
            await news.wait()
        await asyncio.to_thread(head.systemctl, "reset-failed", SUBJECT)
    running.cancel()
    await asyncio.wait([running])
    bare.disconnect()
    floor = [heard[at] for at in shown if at in heard]
    for name, values in (("bare dbus-fast client, signal heard", floor), ("agent, table ready", list(shown.values()))):
        median, worst = 1e3 * statistics.median(values), 1e3 * max(values)
        print(f"  {name}: median {median:.1f} ms, worst of {len(values)} {worst:.1f} ms")
    print(f"  ratio of medians {statistics.median(shown.values()) / statistics.median(floor):.2f} (goal: under 50 ms)")


def note(message: Message, heard: dict[int, float]) -> None:
    """When a bare client hears of the death."""
    if message.member != "PropertiesChanged" or "bench" not in (message.path or ""):
        return
    properties: dict[str, Any] = message.body[1]
    if "ActiveState" in properties and properties["ActiveState"].value == "failed":
        at = properties["InactiveEnterTimestamp"].value
        heard.setdefault(at, time.time() - at / 1e6)


def main() -> None:
    """Print the figures and their ratios."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    with Heads() as heads:
        head = heads.boot("bench")
        furnish(head)
        head.start_agent()
        requests(head)
        head.stop_agent()
        print(f"From systemd's timestamp of a death, {DEATHS} times:")
        asyncio.run(deaths(head))


if __name__ == "__main__":
    main()
