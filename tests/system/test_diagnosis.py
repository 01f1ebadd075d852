"""What cw-headctl status and doctor say of a head on which things are wrong, one after another."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.heads import Head, Heads
from tests.support.heads.head import CONFIG, UNIT, wait_for

SOCKET_UNIT = "clusterware-head-agent.socket"
SERVICE = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"


@pytest.fixture(scope="module")
def ill(heads: Heads) -> Iterator[Head]:
    """A head of this module's, whose agent runs; its store is small."""
    one = heads.boot("ill", store_size="4M")
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


def test_of_a_head_that_is_well_nothing_is_told(ill: Head) -> None:
    told = ill.run("cw-headctl", "status").stdout.splitlines()
    assert "Everything is well." in told
    assert len(told) <= 24
    assert found(ill) == {}


def test_a_full_disk_and_a_service_that_does_not_run_are_told_the_worst_first(ill: Head) -> None:
    ill.run("sh", "-c", f"cat /dev/zero > {ill.store}/filler", check=False)
    ill.systemctl("enable", "clusterware-ill")
    wait_for(lambda: "services" in found(ill), "the service to be missed")

    bad = found(ill)

    assert bad["disk"]["detail"].startswith("the disk is full: 100 % used")
    assert "`cw-headctl files rm`" in bad["disk"]["todo"]
    assert bad["services"]["subject"] == "clusterware-ill"
    assert "`cw-headctl services start clusterware-ill`" in bad["services"]["todo"]
    status = ill.run("cw-headctl", "status", check=False)
    assert status.returncode == 3
    assert status.stdout.index("2 things to act on:") < status.stdout.index("failed ") < status.stdout.index("HEAD ")

    ill.run("rm", f"{ill.store}/filler")
    ill.run("cw-headctl", "services", "start", "clusterware-ill")
    assert found(ill) == {}


def test_a_bus_that_is_away_is_told_and_so_is_that_it_came_back(ill: Head) -> None:
    ill.systemctl("stop", "dbus.service", "dbus.socket")
    wait_for(lambda: "systemd" in found(ill), "the bus to be missed")
    bad = found(ill)["systemd"]
    ill.systemctl("start", "dbus.socket", "dbus.service")

    assert bad["level"] == "failed"
    assert "`systemctl status dbus`" in bad["todo"]
    wait_for(lambda: not found(ill), "all to be well again")


def test_a_ca_near_its_end_is_told_with_the_command_that_exchanges_it(ill: Head) -> None:
    """The clock runs ten years ahead; a head's own certificate is renewed by then, its CA by people only."""
    ill.set_clock("+3630d")
    try:
        bad = found(ill)["certificates"]
    finally:
        ill.run("sh", "-c", "rm /var/lib/clusterware-head-agent/head.pem")  # of another decade
        ill.set_clock("")

    assert (bad["level"], bad["subject"]) == ("failed", "CA of the cluster")
    assert "it ends in 19 days" in bad["detail"]
    assert "`cw-headctl ca rotate`" in bad["todo"]
    assert found(ill) == {}


def test_an_agent_that_a_wrong_configuration_ended_is_told_without_it(ill: Head) -> None:
    before = ill.path(CONFIG).read_text()
    ill.write(CONFIG, f"{before}[api]\nlisten = nonsense\n")
    ill.systemctl("restart", UNIT, check=False)

    status = ill.run("cw-headctl", "status", check=False)
    assert status.returncode == 4
    assert "see `cw-headctl doctor`" in status.stderr
    wait_for(  # until its socket is out of patience too, systemd starts it for whoever asks
        lambda: "(status 78)" in found(ill, answers=False).get("agent", {}).get("detail", ""),
        "the agent to be given up",
        120,
    )
    bad = found(ill, answers=False)
    assert bad["configuration"]["detail"].endswith("separated by commas")
    assert "[api] listen: 'nonsense' is not allowed" in bad["configuration"]["detail"]
    assert "(status 78), which is still wrong" in bad["agent"]["detail"]

    ill.write(CONFIG, before)
    todo = found(ill, answers=False)["agent"]["todo"]
    assert todo.startswith("`systemctl ")
    assert todo.endswith(f"systemctl restart {SOCKET_UNIT} {UNIT}`")  # once its sockets gave up, behind a reload
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
    ill.run("journalctl", "--update-catalog")  # as the package's installation does
    assert "Subject: " in "".join(lines(*narrow, "-x"))

    follow = ill.argv("cw-headctl", "logs", "-f", "--unit", "clusterware-ill")
    with subprocess.Popen(follow, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        shown = iter(following.stdout)
        assert next(line for line in shown if request["X-Request-Id"] in line)
        later = ill.api("POST", "/head/services", {"status": "stop", "services": ["clusterware-ill"]}).headers
        assert next(line for line in shown if later["X-Request-Id"] in line)
        ill.kill_entered()
