"""What the doctor tells to do is done, and the head is well; the journal is narrowed to one matter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.heads import Head, Heads
from tests.support.heads.head import CONFIG, UNIT, wait_for

SOCKET_UNIT = "clusterware-head-agent.socket"
SERVICE = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"


@pytest.fixture(scope="module")
def ill(heads: Heads) -> Iterator[Head]:
    """A head of this module's, whose agent runs."""
    one = heads.boot("ill")
    one.write("/etc/systemd/system/clusterware-ill.service", SERVICE)
    one.start_agent("[services]\nheal = no\n")
    yield one
    heads.shut_down(one)


def found(head: Head, *, answers: bool = True) -> dict[str, dict[str, Any]]:
    """What the doctor finds that is not well, by check; the worst of each; what keeps a clock right varies."""
    done = head.run("cw-headctl", "--json", "doctor", check=False)
    assert done.returncode in ((0, 3) if answers else (4,)), done.stdout + done.stderr
    findings = json.loads(done.stdout)["findings"]
    return {one["check"]: one for one in reversed(findings) if one["level"] != "ok" and one["check"] != "time sync"}


def test_an_agent_that_a_wrong_configuration_ended_is_told_without_it(ill: Head) -> None:
    before = ill.path(CONFIG).read_text()
    ill.write(CONFIG, f"{before}[api]\nlisten = nonsense\n")
    ill.systemctl("restart", UNIT, check=False)

    status = ill.run("cw-headctl", "status", check=False)
    assert status.returncode == 4
    assert "see `cw-headctl doctor`" in status.stderr
    bad = found(ill, answers=False)
    assert bad["configuration"]["detail"].endswith("separated by commas")
    assert "[api] listen: 'nonsense' is not allowed" in bad["configuration"]["detail"]
    assert "(status 78), which is still wrong" in bad["agent"]["detail"]

    ill.write(CONFIG, before)
    todo = found(ill, answers=False)["agent"]["todo"]
    assert todo == f"`systemctl restart {SOCKET_UNIT} {UNIT}`"
    ill.run("sh", "-c", todo.strip("`"))
    assert found(ill) == {}


def test_the_journal_is_shown_by_unit_by_request_and_as_it_grows(ill: Head) -> None:
    request = ill.api("POST", "/head/services", {"status": "restart", "services": ["clusterware-ill"]}).headers
    narrow = ("--unit", "clusterware-ill", "--request", request["X-Request-Id"])

    def lines(*words: str) -> list[str]:
        return ill.run("cw-headctl", "logs", *words).stdout.splitlines()

    wait_for(lambda: len(lines(*narrow)) == 2, "the action and its audit")
    assert all(f"request_id={request['X-Request-Id']}" in line for line in lines(*narrow))
    assert len(lines("-n", "3")) == 3
    assert json.loads(lines(*narrow, "--json")[0])["UNIT"] == "clusterware-ill.service"
    followed = ill.run("timeout", "1", "cw-headctl", "logs", "-f", *narrow, check=False).stdout
    assert followed.splitlines() == lines(*narrow)
    ill.run("journalctl", "--update-catalog")  # as the package's installation does
    assert "Subject: " in "".join(lines(*narrow, "-x"))
