"""From one version to the next, with the agent at work, and back again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent import __version__
from agent.adapters.sqlite.schema import MIGRATIONS
from tests.support import packages
from tests.support.heads import Head, Host
from tests.support.heads.head import CONFIG, UNIT, wait_for
from tests.support.heads.layers import CHECKOUT
from tests.support.installing import (
    KEEP,
    NAME,
    SOCKET_UNIT,
    active,
    answering,
    apt,
    dpkg,
    enabled,
    platform,
    state,
)
from tests.support.packages import NEXT

CHANGED = "# The administrator's own words.\n[log]\nlevel = debug\n"
IMAGE = {"name": "kept"}


@contextmanager
def load(client: Host, head: Head, rate: float, *options: str) -> Iterator[list[dict[str, Any]]]:
    """Have another machine ask the agent so often a second; what came of it is there afterwards.

    It asks again where a connection was closed unanswered, as clients do: on a busy machine, the version before closes
    some at its stop on which a request is on its way.
    """
    url = f"https://{head.address}:52390/api/v1/head/peerurl"
    argv = [sys.executable, "-m", "tests.support.heads.load", url, "--seconds", "120", "--rate", str(rate), "--again"]
    argv += options
    told: list[dict[str, Any]] = []
    with subprocess.Popen(client.argv(*argv), stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as process:
        yield told
        process.send_signal(signal.SIGTERM)
        told.append(json.loads(process.communicate(timeout=90)[0]))


def version_of(package: Path) -> str:
    """The version that a package has, by its name."""
    return package.name.split("_")[1].removesuffix("-1")


def test_a_history_without_the_version_before_is_said_to_be_fetched(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=f"is not in the history here; fetch it: git fetch origin {'0' * 40}"):
        packages.previous_tree(tmp_path, "0" * 40)


def test_an_upgrade_and_the_way_back_drop_no_request_of_200_a_second(
    boot: Callable[[], Head], client: Host, previous: Path, current: Path
) -> None:
    head = boot()
    platform(head, CHANGED)
    dpkg(head, previous, "--force-confold")
    image = head.api("POST", "/images", IMAGE).data
    listening = head.show(SOCKET_UNIT, "ActiveEnterTimestampMonotonic")
    pids = [head.show(UNIT, "MainPID")]

    with load(client, head, 50) as anew, load(client, head, 150, "--keep") as kept:
        told = apt(head, current, *KEEP)
        assert (state(head), answering(head)) == (("ii", __version__), __version__)
        pids.append(head.show(UNIT, "MainPID"))
        dpkg(head, previous, "--force-confold", "--force-downgrade")
        assert answering(head) == version_of(previous)
        pids.append(head.show(UNIT, "MainPID"))

    for (one,) in (anew, kept):
        assert one["ends"] == {"200": one["asked"]}
        assert one["asked"] > 100
    assert len(set(pids)) == 3
    assert head.show(SOCKET_UNIT, "ActiveEnterTimestampMonotonic") == listening
    assert head.path(CONFIG).read_text() == CHANGED
    assert head.api("GET", f"/image/{image}").data[image]["name"] == "kept"
    assert not [line for line in told.stdout.splitlines() if line.startswith((f"{NAME}:", "To do"))]
    assert not head.path("/var/lib/clusterware-head-agent/backups").exists()  # nothing was migrated


def test_a_migration_is_behind_a_backup_that_brings_the_version_before_back(
    boot: Callable[[], Head], current: Path, following: Path
) -> None:
    head = boot()
    platform(head)
    dpkg(head, current)
    image = head.api("POST", "/images", IMAGE).data

    dpkg(head, following)

    assert answering(head) == NEXT
    assert head.api("GET", f"/image/{image}").status == 200
    (backup,) = head.path("/var/lib/clusterware-head-agent/backups").iterdir()
    head.api("POST", "/images", {"name": "of the next version"})

    dpkg(head, current, "--force-downgrade")

    assert (state(head), active(head)) == (("ii", __version__), ["active"] * 2)
    refused = head.api("GET", "/images")
    assert (refused.status, refused.body["code"]) == (503, "database-damaged")
    known = len(MIGRATIONS)
    why = f"its schema is version {known + 1} and this agent knows 1 to {known}; install the agent that wrote it, or"
    wait_for(lambda: why in head.journal(), "the line")
    listed = head.run("cw-headctl", "database", "backups").stdout
    assert backup.name in listed
    head.run("cw-headctl", "database", "restore", backup.name, "--yes")
    wait_for(lambda: head.api("GET", "/images").status == 200, "the records")
    assert [one["name"] for one in head.api("GET", "/images").data.values()] == ["kept"]
    assert answering(head) == __version__


def test_what_was_stopped_and_disabled_stays_so(boot: Callable[[], Head], current: Path, following: Path) -> None:
    head = boot()
    platform(head)
    dpkg(head, current)
    head.systemctl("disable", "--now", UNIT, SOCKET_UNIT)

    dpkg(head, following)

    assert (state(head), active(head), enabled(head)) == (("ii", NEXT), ["inactive"] * 2, ["disabled"] * 2)


def test_an_agent_that_had_failed_is_started_with_the_version_that_mends_it(
    boot: Callable[[], Head], current: Path, following: Path
) -> None:
    head = boot()
    platform(head)
    dpkg(head, current)
    good = head.path(CONFIG).read_text()
    head.write(CONFIG, "[files]\nrot = /x\n")
    head.systemctl("restart", UNIT, check=False)
    assert active(head)[0] == "failed"
    head.write(CONFIG, good)

    dpkg(head, following)

    assert active(head) == ["active"] * 2
    assert answering(head) == NEXT


def test_an_agent_that_could_not_start_again_is_left_running_and_said_so(
    boot: Callable[[], Head], current: Path, following: Path
) -> None:
    head = boot()
    platform(head)
    dpkg(head, current)
    good = head.path(CONFIG).read_text()
    head.write(CONFIG, "[files]\nrot = /x\n")

    told = dpkg(head, following, "--force-confold").stderr

    assert (state(head), answering(head)) == (("ii", NEXT), __version__)
    why, todo = (line for line in told.splitlines() if line.startswith(NAME))
    assert "[files] rot: is not a key" in why
    assert "the agent of before goes on running" in todo
    head.write(CONFIG, good)
    head.run("sh", "-c", todo.partition("mend that, then: ")[2])
    assert answering(head) == NEXT


def test_a_start_that_fails_after_an_upgrade_is_said_and_leaves_the_package_whole(
    boot: Callable[[], Head], current: Path, following: Path
) -> None:
    head = boot()
    platform(head)
    dpkg(head, current)
    drop_in = head.write(f"/etc/systemd/system/{UNIT}.d/60-site.conf", "[Service]\nExecStartPre=/bin/false\n")

    told = dpkg(head, following).stderr

    assert state(head) == ("ii", NEXT)
    assert (
        f"the agent does not start: `journalctl -u {UNIT} -u {SOCKET_UNIT}` tells why; mend that, then: systemctl"
        in told
    )
    drop_in.unlink()
    head.systemctl("daemon-reload")
    head.systemctl("restart", UNIT)
    assert answering(head) == NEXT
