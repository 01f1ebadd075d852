"""Following the services of a booted head, across a restart of its agent and of the bus."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.heads import Head
from tests.support.heads.head import UNIT

SUBJECT = "clusterware-followed"


@pytest.fixture
def subject(head: Head) -> Iterator[Head]:
    """The shared head, with one more service that runs."""
    head.write(f"/etc/systemd/system/{SUBJECT}.service", "[Service]\nExecStart=/bin/sleep infinity\n")
    head.systemctl("daemon-reload")
    head.systemctl("start", SUBJECT)
    yield head
    head.systemctl("stop", SUBJECT)
    head.path(f"/etc/systemd/system/{SUBJECT}.service").unlink()
    head.systemctl("daemon-reload")


@pytest.fixture
def next_event(subject: Head) -> Iterator[Callable[[Callable[[Any], bool]], Any]]:
    """Gives the next event of `cw-headctl services watch` that is as it should be."""
    process = subprocess.Popen(
        subject.argv("cw-headctl", "--json", "services", "watch", SUBJECT),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    lines = process.stdout

    def following(wanted: Callable[[Any], bool]) -> Any:
        for line in lines:
            if wanted(event := json.loads(line)):
                return event
        raise AssertionError("it ended")

    yield following
    subject.kill_entered()
    process.communicate()


def shows(status: str) -> Callable[[Any], bool]:
    return lambda event: event.get("service", {}).get("status") == status


def is_table(event: Any) -> bool:
    return bool(event["event"] == "table")


def test_a_stop_and_a_start_are_told(subject: Head, next_event: Callable[[Callable[[Any], bool]], Any]) -> None:
    assert [row["status"] for row in next_event(is_table)["services"]] == ["up"]
    subject.systemctl("stop", SUBJECT)
    assert next_event(shows("down"))["service"]["unit"] == f"{SUBJECT}.service"
    subject.systemctl("start", SUBJECT)
    assert next_event(shows("up"))["service"]["pid"] > 0


def test_a_restart_of_the_agent_brings_the_table_again(
    subject: Head, next_event: Callable[[Callable[[Any], bool]], Any]
) -> None:
    next_event(is_table)
    subject.systemctl("restart", UNIT)
    assert [row["status"] for row in next_event(is_table)["services"]] == ["up"]
    subject.systemctl("kill", "--signal=KILL", SUBJECT)
    assert next_event(shows("down"))["service"]["result"] == "signal"
    subject.systemctl("reset-failed", SUBJECT)


def test_a_restart_of_the_bus_is_said_and_the_table_comes_again(
    subject: Head, next_event: Callable[[Callable[[Any], bool]], Any]
) -> None:
    next_event(is_table)
    subject.systemctl("restart", "dbus.service")
    assert next_event(lambda event: event["event"] == "lost")["reason"]
    assert [row["status"] for row in next_event(is_table)["services"]] == ["up"]
