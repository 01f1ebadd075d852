"""Stopping, starting and reloading the daemon while it is used."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable

from agent.journald import message_id
from tests.support.heads import Head, Host
from tests.support.heads.head import CONFIG, UNIT, wait_for
from tests.support.heads.layers import CHECKOUT


def test_a_restart_under_load_drops_no_request(head: Head, elsewhere: Host) -> None:
    """200 requests a second: most on connections that are kept, as heads and programs do, the others on new ones."""
    url = f"https://{head.address}:52390/api/v1/head/peerurl"
    argv = elsewhere.argv(sys.executable, "-m", "tests.support.heads.load", url, "--seconds", "8")
    kept, fresh = [*argv, "--rate", "150", "--keep"], [*argv, "--rate", "50"]
    with (
        subprocess.Popen(kept, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as many,
        subprocess.Popen(fresh, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as others,
    ):
        for _ in range(3):
            pid = head.show(UNIT, "MainPID")
            head.systemctl("restart", UNIT)
            assert head.show(UNIT, "MainPID") not in (pid, "0")
        told = [json.loads(load.communicate(timeout=90)[0]) for load in (many, others)]

    assert [load["ends"] for load in told] == [{"200": 1200}, {"200": 400}]
    assert head.systemctl("is-active", "clusterware-head-agent.socket") == "active"


def test_a_killed_agent_is_back_at_once(head: Head) -> None:
    pid = head.show(UNIT, "MainPID")
    head.systemctl("kill", "--signal=KILL", UNIT)

    wait_for(lambda: head.show(UNIT, "MainPID") not in (pid, "0"), "another process")
    assert head.api("GET", "/healthz").status == 200


def test_an_agent_that_keeps_crashing_under_load_holds_back_and_is_found_by_its_callers_again(
    fresh: Callable[[], Head],
) -> None:
    one = fresh()
    one.start_agent()
    calling = "while :; do curl -s --max-time 2 --unix-socket /run/clusterware-head-agent.sock http://h/healthz; done"
    with subprocess.Popen(one.argv("sh", "-c", calling), stdout=subprocess.DEVNULL) as caller:
        remembered = one.path("/run/clusterware-head-agent/starts")
        for number in range(1, 7):
            wait_for(lambda n=number: len(remembered.read_text().split()) == n, "the start to be noted")  # type: ignore[misc]
            one.systemctl("kill", "--signal=KILL", UNIT)
        told = wait_for(
            lambda: re.findall(r"Start held back starts=\d+ seconds=(\d+)", one.journal())[1:], "the second pause"
        )
        caller.kill()

    assert one.api("GET", "/healthz").status == 200
    assert one.systemctl("is-active", "clusterware-head-agent.socket") == "active"
    assert told == ["4"]  # after 2


def test_a_stuck_agent_is_restarted_by_the_watchdog(fresh: Callable[[], Head]) -> None:
    one = fresh()
    one.write(f"/etc/systemd/system/{UNIT}.d/60-test.conf", "[Service]\nWatchdogSec=2s\n")
    one.start_agent()
    pid = one.show(UNIT, "MainPID")

    one.systemctl("kill", "--signal=STOP", UNIT)

    wait_for(lambda: one.show(UNIT, "MainPID") not in (pid, "0"), "another process", 30)
    assert "Watchdog timeout (limit 2s)" in one.journal()


def test_a_reload_takes_what_it_can_and_says_what_waits(fresh: Callable[[], Head]) -> None:
    one = fresh()
    one.start_agent()
    pid = one.show(UNIT, "MainPID")
    with one.path(CONFIG).open("a") as config:
        config.write("[log]\nlevel = debug\n[api]\nlisten = [::]:52999\n")

    one.systemctl("reload", UNIT)

    line = wait_for(
        lambda: next((x for x in one.journal().splitlines() if x.startswith("Configuration reloaded")), None),
        "the line",
    )
    assert "log.level" in line
    assert "api.listen" in line
    assert one.show(UNIT, "MainPID") == pid


def test_a_reload_of_nonsense_leaves_the_agent_at_work(fresh: Callable[[], Head]) -> None:
    one = fresh()
    one.start_agent()
    one.write(CONFIG, "[files]\nrot = /x\n")

    one.systemctl("reload", UNIT)

    wait_for(lambda: "Configuration refused" in one.journal(), "the line")
    assert one.api("GET", "/healthz").status == 200


def test_a_bad_configuration_is_one_clear_line_and_no_loop(fresh: Callable[[], Head]) -> None:
    one = fresh()
    one.configure()
    one.write(CONFIG, "[files]\nrot = /x\n")

    one.systemctl("start", UNIT, check=False)

    assert (one.show(UNIT, "ExecMainStatus"), one.show(UNIT, "NRestarts")) == ("78", "0")
    (said,) = [line for line in one.journal().splitlines() if "[files] rot" in line]
    assert said.startswith(f"Configuration refused reason='{CONFIG}:2: [files] rot: is not a key; must be one of ")
    event = f"MESSAGE_ID={message_id('Configuration refused')}"  # which the catalog explains
    assert said in one.run("journalctl", "-p", "err", "--output=cat", "-u", UNIT, event).stdout


def test_connections_do_not_start_a_badly_configured_agent_for_ever(fresh: Callable[[], Head]) -> None:
    one = fresh()
    one.configure()
    one.write(CONFIG, "[files]\nrot = /x\n")
    one.systemctl("start", "clusterware-head-agent.socket")

    def refused() -> bool:
        argv = ["curl", "-sk", "--max-time", "1", "https://localhost:52390/"]
        return one.run(*argv, check=False).returncode == 7

    wait_for(refused, "the socket to give up", 120)
    assert one.show("clusterware-head-agent.socket", "Result") == "trigger-limit-hit"
    assert len([line for line in one.journal().splitlines() if line.startswith("Configuration refused")]) <= 21

    one.configure()
    one.systemctl("start", UNIT)
    refused()
    assert one.api("GET", "/healthz").status == 200


def test_a_head_without_its_ssh_key_or_base_ini_is_told_so(fresh: Callable[[], Head]) -> None:
    one = fresh()
    one.configure()
    one.path("/opt/scyld/clusterware/conf/base.ini").unlink()

    one.systemctl("start", UNIT, check=False)

    assert one.show(UNIT, "ExecMainStatus") == "78"
    said = [line for line in one.journal().splitlines() if line.startswith("Configuration refused")]
    assert len(said) == 1
    assert "/opt/scyld/clusterware/conf/base.ini" in said[0]
