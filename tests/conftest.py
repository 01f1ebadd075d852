"""What every test gets: nothing that it starts may outlive it."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

# A shell that runs this in the background may have it ignore Ctrl-C, and all that it starts with it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes, or its making, says how busy the machine is and nothing of what is tested.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


def _threads() -> set[str]:
    """The live threads that would outlive a test; executors of a closed loop end by themselves."""
    return {
        t.name for t in threading.enumerate() if t is not threading.main_thread() and not t.name.startswith("asyncio_")
    }


def _files() -> dict[str, str]:
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            found[fd] = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:
            continue
    return found


def _opened_since(files: dict[str, str]) -> dict[str, str]:
    return {
        fd: name for fd, name in _files().items() if fd not in files and not name.startswith(("anon_inode:", "pipe:"))
    }


def _children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


@pytest.fixture(autouse=True)
def _settled() -> Iterator[None]:
    """Fail a test that leaves threads, children or open files behind."""
    threads, files, children = _threads(), _files(), _children()
    yield
    for thread in threading.enumerate():
        if thread.name in _threads() - threads:
            thread.join(10)  # what is already ending may end
    assert not _threads() - threads, "threads were left running"
    assert not _children() - children, "children were left running"
    ends = time.monotonic() + 10  # a thread of the loop's that reads a file may end
    while (left := _opened_since(files)) and time.monotonic() < ends:
        time.sleep(0.01)
    assert not left, f"files were left open: {left}"


@pytest.fixture(autouse=True)
def _tasks(request: pytest.FixtureRequest) -> None:
    """An event loop for each test that has none would take longer than most of those do."""
    if request.node.get_closest_marker("asyncio") is not None:
        request.getfixturevalue("_no_tasks_left")


@pytest.fixture
async def _no_tasks_left() -> AsyncIterator[None]:
    """Fail a test that leaves tasks behind."""
    files = _files()
    yield
    left = {t for t in asyncio.all_tasks() if t is not asyncio.current_task()}
    if left:  # what is already ending may end
        _, left = await asyncio.wait(left, timeout=10)
    assert not left, f"tasks were left running: {left}"
    for _ in range(1000):  # a connection closes in turns of the loop
        if not _opened_since(files):
            break
        await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Keep log lines out of the test's output unless it asks for them."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    yield
    structlog.reset_defaults()
