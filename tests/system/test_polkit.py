"""What the agent's user may do to systemd: its services by name and verb, and nothing that leads to root."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.heads import Head
from tests.support.heads.head import wait_for

OURS, OTHER = "clusterware-sample", "other-sample"
_UNIT = "[Service]\nExecStart=/bin/sleep infinity\nExecReload=/bin/true\n[Install]\nWantedBy=multi-user.target\n"


@pytest.fixture
def sampled(head: Head) -> Iterator[Head]:
    for name in (OURS, OTHER):
        head.write(f"/etc/systemd/system/{name}.service", _UNIT)
    head.systemctl("daemon-reload")
    head.systemctl("start", OURS, OTHER)
    yield head
    head.systemctl("disable", "--now", OURS, OTHER)
    for name in (OURS, OTHER):
        head.path(f"/etc/systemd/system/{name}.service").unlink()
    head.systemctl("daemon-reload")


def _as_agent(head: Head, *words: str) -> int:
    user = ("setpriv", "--reuid=clusterware-agent", "--regid=clusterware-agent", "--clear-groups")
    return head.run(*user, words[0], "--no-ask-password", *words[1:], check=False).returncode


@pytest.mark.parametrize("verb", ["stop", "start", "restart", "reload", "reset-failed"])
def test_it_may_act_on_the_supervised(sampled: Head, verb: str) -> None:
    assert _as_agent(sampled, "systemctl", verb, OURS) == 0


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "reload", "reset-failed", "kill"])
def test_it_may_not_act_on_others(sampled: Head, verb: str) -> None:
    assert _as_agent(sampled, "systemctl", verb, OTHER) != 0
    assert sampled.systemctl("is-active", OTHER) == "active"


def test_it_enables_and_disables_through_roots_one_shots(sampled: Head) -> None:
    assert _as_agent(sampled, "systemctl", "start", f"clusterware-head-agent-enable@{OURS}") == 0
    assert sampled.systemctl("is-enabled", OURS) == "enabled"
    assert _as_agent(sampled, "systemctl", "start", f"clusterware-head-agent-disable@{OURS}") == 0
    assert sampled.systemctl("is-enabled", OURS, check=False) == "disabled"


@pytest.mark.parametrize(
    "instance",
    [OTHER, "--now", "clusterware-head-agent", "clusterware-head-agent-enable@clusterware-sample", "x.socket"],
)
def test_the_one_shots_are_for_the_supervised_only(sampled: Head, instance: str) -> None:
    for word in ("enable", "disable"):
        assert _as_agent(sampled, "systemctl", "start", "--", f"clusterware-head-agent-{word}@{instance}.service") != 0


def test_it_may_start_stop_and_restart_its_database_and_no_more(head: Head) -> None:
    etcd = "clusterware-head-agent-etcd"  # without its configuration a start does nothing (ConditionPathExists)
    for verb in ("start", "stop", "restart"):
        assert _as_agent(head, "systemctl", verb, etcd) == 0
    for words in (("kill", etcd), ("set-property", etcd, "CPUWeight=3"), ("enable", etcd), ("start", f"{etcd}@x")):
        assert _as_agent(head, "systemctl", *words) != 0


@pytest.mark.parametrize(
    "words",
    [
        ("systemctl", "enable", OURS),
        ("systemctl", "mask", OURS),
        ("systemctl", "link", "/tmp/x.service"),
        ("systemctl", "daemon-reload"),
        ("systemctl", "set-environment", "A=b"),
        ("systemctl", "set-property", OURS, "CPUWeight=3"),
        ("systemctl", "kill", OURS),
        ("systemctl", "stop", "clusterware-head-agent"),
        ("systemctl", "restart", f"clusterware-head-agent-enable@{OURS}"),
        ("systemctl", "poweroff"),
        ("systemd-run", "--unit=clusterware-fresh.service", "/bin/true"),
        ("systemd-run", f"--unit={OURS}.service", "/bin/true"),
    ],
)
def test_nothing_that_leads_to_root_is_open(sampled: Head, words: tuple[str, ...]) -> None:
    assert _as_agent(sampled, *words) != 0
    assert sampled.systemctl("is-active", OURS, "clusterware-head-agent").split() == ["active", "active"]


def test_a_unit_that_is_configured_by_its_alias_may_be_acted_on_once_that_was_applied(sampled: Head) -> None:
    alias = sampled.path("/etc/systemd/system/influxdb.service")
    alias.symlink_to(f"{OTHER}.service")
    try:
        sampled.systemctl("daemon-reload")
        wait_for(lambda: OTHER in str(sampled.api("GET", "/head/services").data), "the alias to be shown")
        request = {"status": "restart", "services": ["influxdb"]}
        refused = sampled.api("POST", "/head/services", request)
        assert refused.status == 502
        assert "cw-headctl config apply" in str(refused.data)
        sampled.run("cw-headctl", "config", "apply")
        assert sampled.api("POST", "/head/services", request).status == 200
    finally:
        alias.unlink()
        sampled.systemctl("daemon-reload")
        sampled.run("cw-headctl", "config", "apply")
    assert _as_agent(sampled, "systemctl", "restart", OTHER) != 0
