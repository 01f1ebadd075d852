"""Services on a real systemd: what the table shows while units are killed, masked, removed and edited under it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.heads import Head
from tests.support.heads.head import UNIT, wait_for

NAME = "clusterware-subject"
PATH = f"/etc/systemd/system/{NAME}.service"
TEXT = """\
[Unit]
Description={description}
[Service]
ExecStart=/bin/sleep infinity
ExecReload=/bin/true
[Install]
WantedBy=multi-user.target
"""


def row(head: Head, name: str = NAME) -> dict[str, Any] | None:
    return next((r for r in head.api("GET", "/head/services").data if r["name"] == name), None)


def status(head: Head, name: str = NAME) -> str | None:
    found = row(head, name)
    return found["status"] if found else None


def act(head: Head, words: str, *names: str) -> Any:
    return head.api("POST", "/head/services", {"status": words, "services": list(names)})


@pytest.fixture
def subject(head: Head) -> Iterator[Head]:
    head.write(PATH, TEXT.format(description="Subject"))
    head.systemctl("daemon-reload")
    head.systemctl("start", NAME)
    wait_for(lambda: status(head) == "up", "the table to show it up")
    yield head
    head.systemctl("unmask", NAME, check=False)
    head.systemctl("disable", "--now", NAME, check=False)
    head.path(PATH).unlink(missing_ok=True)
    head.systemctl("daemon-reload")
    head.systemctl("reset-failed", check=False)
    wait_for(lambda: row(head) is None, "the table to forget it")


def test_every_service_is_a_row_and_the_agents_own_helpers_are_not(head: Head) -> None:
    names = [r["name"] for r in head.api("GET", "/head/services").data]

    assert names == sorted(names)
    assert {"clusterware-dhcpd", "clusterware-worker@1", "httpd", "chronyd", "clusterware-head-agent"} <= set(names)
    own = {n for n in names if n.startswith("clusterware-head-agent")}
    assert own == {"clusterware-head-agent", "clusterware-head-agent-etcd"}
    assert not [n for n in names if n.startswith("clusterware-worker@.") or n.endswith("@")]


def test_the_rows_tell_what_systemd_tells(subject: Head) -> None:
    found = row(subject)

    assert found is not None
    assert found["unit"] == f"{NAME}.service"
    assert found["description"] == "Subject"
    assert (found["load_state"], found["active_state"], found["sub_state"]) == ("loaded", "active", "running")
    assert found["enabled"] == "disabled"
    assert str(found["pid"]) == subject.show(NAME, "MainPID")


def test_a_killed_service_is_down(subject: Head) -> None:
    subject.systemctl("kill", "--signal=KILL", NAME)

    wait_for(lambda: status(subject) == "down", "the table to show it down")
    found = row(subject)
    assert found is not None
    assert (found["active_state"], found["result"], found["pid"]) == ("failed", "signal", None)


def test_a_masked_service_is_still_a_row(subject: Head) -> None:
    subject.path(PATH).unlink()
    subject.systemctl("mask", "--now", NAME)

    wait_for(lambda: (row(subject) or {}).get("enabled") == "masked", "the table to show it masked")
    assert status(subject) == "down"
    assert act(subject, "start", NAME).status == 502


def test_a_service_whose_unit_is_removed_goes(subject: Head) -> None:
    subject.systemctl("stop", NAME)
    subject.path(PATH).unlink()
    subject.systemctl("daemon-reload")

    wait_for(lambda: row(subject) is None, "the table to forget it")


def test_an_edited_unit_shows_after_the_reload(subject: Head) -> None:
    subject.write(PATH, TEXT.format(description="Edited"))
    subject.systemctl("daemon-reload")

    wait_for(lambda: (row(subject) or {}).get("description") == "Edited", "the table to show the edit")
    assert status(subject) == "up"


def test_enabling_by_hand_shows(subject: Head) -> None:
    subject.systemctl("enable", NAME)

    wait_for(lambda: (row(subject) or {}).get("enabled") == "enabled", "the table to show it enabled")


def test_all_six_verbs(subject: Head) -> None:
    before = row(subject)
    done = act(subject, "disable, enable,stop,start,reload,restart", NAME)

    assert done.status == 200, done.body
    assert [(a["action"], a["result"]) for a in done.data[0]["actions"]] == [
        (word, "done") for word in ("disable", "enable", "stop", "start", "reload", "restart")
    ]
    after = row(subject)
    assert before is not None
    assert after is not None
    assert (after["status"], after["enabled"]) == ("up", "enabled")
    assert after["pid"] != before["pid"]


def test_a_stop_is_over_when_it_is_answered(subject: Head) -> None:
    assert act(subject, "stop", NAME).data[0]["status"] == "down"
    assert subject.systemctl("is-active", NAME, check=False) == "inactive"
    assert status(subject) == "down"


def test_a_service_that_cannot_start_says_so(subject: Head) -> None:
    subject.write(PATH, "[Service]\nExecStart=/bin/false\nType=oneshot\n")
    subject.systemctl("daemon-reload")
    subject.systemctl("stop", NAME)

    done = act(subject, "start", NAME)

    assert done.status == 502
    assert done.data[0]["actions"][0]["result"] == "failed"


@pytest.mark.parametrize("names", [["dbus"], ["clusterware-none"], ["../x"], [], ["clusterware-head-agent-enable@x"]])
def test_foreign_services_are_refused_and_nothing_is_done(head: Head, names: list[str]) -> None:
    answer = act(head, "stop", "clusterware-dns", *names) if names else act(head, "stop")

    assert answer.status in (404, 422)
    assert head.systemctl("is-active", "clusterware-dns") == "active"


def _restart_dbus(head: Head) -> None:
    head.systemctl("restart", "dbus.service")


def _reexec(head: Head) -> None:
    head.systemctl("daemon-reexec")


def _restart_journald(head: Head) -> None:
    head.systemctl("restart", "systemd-journald.service")


@pytest.mark.parametrize("happening", [_restart_dbus, _reexec, _restart_journald])
def test_the_table_stays_true_through_it(subject: Head, happening: Callable[[Head], None]) -> None:
    pid = subject.show(UNIT, "MainPID")
    happening(subject)

    subject.systemctl("stop", NAME)
    wait_for(lambda: status(subject) == "down", "the table to show it down")
    wait_for(lambda: act(subject, "start", NAME).status == 200, "actions to work again")
    assert status(subject) == "up"
    assert subject.show(UNIT, "MainPID") == pid


def test_the_agent_restarts_itself_on_request(head: Head) -> None:
    pid = head.show(UNIT, "MainPID")

    assert act(head, "restart", "clusterware-head-agent").status == 200

    wait_for(lambda: head.show(UNIT, "MainPID") not in (pid, "0"), "another process")
    assert head.api("GET", "/healthz").status == 200


@pytest.mark.parametrize("word", ["stop", "disable", "enable", "start"])
def test_the_agent_does_nothing_else_to_itself(head: Head, word: str) -> None:
    assert act(head, word, "clusterware-head-agent").status in (409, 422)
    assert head.systemctl("is-active", UNIT) == "active"


def test_an_enabled_service_that_systemd_gave_up_on_is_healed(fresh: Callable[[], Head]) -> None:
    one = fresh()
    one.write(PATH, TEXT.format(description="Subject"))
    one.systemctl("daemon-reload")
    one.systemctl("enable", "--now", NAME)
    one.start_agent("[services]\nheal_backoff = 1s\n")

    one.systemctl("kill", "--signal=KILL", NAME)

    wait_for(lambda: one.systemctl("is-active", NAME, check=False) == "active", "it to be healed")
    one.systemctl("stop", NAME)
    one.systemctl("restart", UNIT)
    assert one.systemctl("is-active", NAME, check=False) == "inactive", "what an operator stopped stays stopped"


def test_hundreds_of_services_are_acted_on_at_once(fresh: Callable[[], Head]) -> None:
    one = fresh()
    names = [f"clusterware-m{number}" for number in range(200)]
    for name in names:
        one.write(f"/etc/systemd/system/{name}.service", TEXT.format(description="One of many"))
    one.systemctl("daemon-reload")
    one.start_agent()

    assert act(one, "start,restart", *names).status == 200
    rows = {r["name"]: r for r in one.api("GET", "/head/services").data}
    assert all(rows[name]["status"] == "up" and rows[name]["pid"] for name in names)
