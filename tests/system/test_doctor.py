"""What only this machine's administrator can see of the agent: its unit, its socket, its journal, on a booted head."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.heads import Head, Heads
from tests.support.heads.head import SOCKET, UNIT

OK, DEGRADED, UNREACHABLE, DENIED = 0, 3, 4, 5
UNITS = ("clusterware-head-agent.socket", UNIT)
STATE = "/var/lib/clusterware-head-agent"


@pytest.fixture(scope="module")
def own(heads: Heads) -> Iterator[Head]:
    """A head of this module's, which each test leaves well."""
    one = heads.boot("examined")
    one.start_agent()
    yield one
    heads.shut_down(one)


def amiss(head: Head, status: int = DEGRADED) -> dict[str, dict[str, str]]:
    """What the doctor finds that is not well, by check, the worst of each."""
    done = head.run("cw-headctl", "doctor", "--json", check=False)
    findings = json.loads(done.stdout)["findings"]
    assert done.returncode == status, findings
    return {found["check"]: found for found in reversed(findings) if found["level"] != "ok"}


def test_a_head_that_is_well_is_status_0(own: Head) -> None:
    assert amiss(own, OK) == {}


def test_a_full_disk_below_the_database_is_told_on_the_screen_too(own: Head) -> None:
    own.run("sh", "-c", f"cat /dev/zero > {STATE}/filler", check=False)
    try:
        found = amiss(own)["disk"]
        status = own.run("cw-headctl", "status", check=False)
    finally:
        own.run("rm", f"{STATE}/filler")
    assert (found["subject"], found["level"]) == ("state directory", "failed")
    assert status.returncode == DEGRADED
    assert "disk, state directory: the disk is full" in status.stdout


def test_what_a_restore_put_aside_is_listed_with_its_size(own: Head) -> None:
    name = own.run("cw-headctl", "database", "backup").stdout.split()[0]
    own.run("cw-headctl", "database", "restore", name, "--yes")
    told = " ".join(own.run("cw-headctl", "doctor").stdout.split())
    assert "put aside, never removed: agent.db.before-restore-" in told


def test_unit_files_that_systemd_has_not_read_are_told(own: Head) -> None:
    drop_in = own.write(f"/etc/systemd/system/{UNIT}.d/90-test.conf", "[Service]\nNice=1\n")
    found = amiss(own)["unit files"]
    drop_in.unlink()
    own.systemctl("daemon-reload")
    assert UNIT in found["subject"]
    assert "systemctl daemon-reload" in found["todo"]


def test_a_socket_that_everybody_may_use_is_told_and_the_command_mends_it(own: Head) -> None:
    own.run("chmod", "666", f"/{SOCKET}")
    found = amiss(own)["socket"]
    assert "everybody on this head may use it" in found["detail"]
    own.run("sh", "-c", found["todo"].split("`")[1])
    assert amiss(own, OK) == {}


def test_an_agent_that_was_stopped_is_told_of_and_the_command_starts_it(own: Head) -> None:
    own.systemctl("stop", *UNITS)
    found = amiss(own, UNREACHABLE)["agent"]
    told = " ".join(own.run("cw-headctl", "doctor", check=False).stdout.split())
    assert "it is not running (inactive)" in told
    assert found["level"] == "failed"
    own.run("sh", "-c", found["todo"].split("`")[1])
    assert amiss(own, OK) == {}


def test_a_unit_that_is_not_enabled_is_told_before_the_next_boot(own: Head) -> None:
    own.systemctl("disable", "--quiet", UNIT)
    found = amiss(own)["agent"]
    own.run("sh", "-c", found["todo"].split("`")[1])
    assert "will not after the next boot" in found["detail"]
    assert amiss(own, OK) == {}


def test_the_journal_is_not_for_everybody(own: Head) -> None:
    argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "cw-headctl", "logs"]
    done = own.run(*argv, check=False)
    assert done.returncode == DENIED
    assert "a member of the group systemd-journal" in done.stderr
    assert done.stderr.count("\n") == 1
