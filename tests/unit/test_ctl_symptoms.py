"""What this machine says of the agent, judged: above all when no agent answers."""

from __future__ import annotations

import stat
from typing import Any

import pytest

from agent.ctl.symptoms import (
    SERVICE,
    SOCKET,
    SocketSeen,
    configuration,
    culprit,
    hangs,
    key,
    listening,
    neighbours,
    service,
    stale_units,
    synchronised,
    units,
    unseen,
    versions,
)

RUNS = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "Result": "success",
    "ExecMainStatus": "0",
    "NRestarts": "0",
    "UnitFileState": "enabled",
}
GONE = {"LoadState": "not-found", "ActiveState": "inactive"}
ENDED = {"ActiveState": "failed", "SubState": "failed", "Result": "exit-code"}
OURS = SocketSeen(stat.S_IFSOCK | 0o660, "clusterware-admin")


def test_a_port_that_another_program_has_is_told_of_the_socket_and_not_of_the_service() -> None:
    said = f"{SOCKET}: Failed to create listening socket ([::]:52390): Address already in use"
    seen = {SERVICE: {**RUNS, "ActiveState": "inactive"}, SOCKET: {"ActiveState": "failed", "Result": "resources"}}

    (finding,) = service(seen, None, [said])

    assert culprit(seen) == SOCKET
    assert (finding.level, finding.subject) == ("failed", SOCKET)
    assert said in finding.detail
    assert "`ss -ltnp` shows" in str(finding.todo)
    assert (
        culprit({SERVICE: {**RUNS, **ENDED}, SOCKET: {"ActiveState": "failed", "Result": "trigger-limit-hit"}})
        == SERVICE
    )


def test_what_systemctl_shows_of_several_units_is_told_apart() -> None:
    told = "Id=a.service\nActiveState=active\nDescription=x=y\n\nId=b.service\nActiveState=failed\n"
    assert units(told) == {
        "a.service": {"Id": "a.service", "ActiveState": "active", "Description": "x=y"},
        "b.service": {"Id": "b.service", "ActiveState": "failed"},
    }
    assert units("") == {}


@pytest.mark.parametrize(
    ("unit", "complaint", "errors", "level", "words", "todo"),
    [
        (RUNS, None, [], "ok", "starts at boot", None),
        ({**RUNS, "UnitFileState": "disabled"}, None, [], "warning", "not enabled", "systemctl enable"),
        ({}, None, [], "failed", "not installed", "install the package"),
        (GONE, None, [], "failed", "not installed", "install the package"),
        ({**RUNS, **ENDED, "LoadState": "masked"}, None, [], "failed", "masked", "systemctl unmask"),
        ({**RUNS, "ActiveState": "inactive"}, None, [], "failed", "not running (inactive)", "systemctl start"),
        (
            {**RUNS, "ActiveState": "inactive", "UnitFileState": "disabled"},
            "x.ini: [head] uid: is not set",
            [],
            "failed",
            "not running (inactive)",
            "mend the configuration, then `cw-headctl config apply`, then `systemctl enable --now",
        ),
        (
            {**RUNS, **ENDED, "ExecMainStatus": "78"},
            "x.ini:3: [files] rot: is not a key",
            [],
            "failed",
            "(status 78), which is still wrong",
            "mend that, then `systemctl restart",
        ),
        ({**RUNS, **ENDED, "ExecMainStatus": "78"}, None, [], "failed", "right by now", "`systemctl restart"),
        (
            {**RUNS, **ENDED, "ExecMainStatus": "1"},
            None,
            ["first", "Agent failed reason=x"],
            "failed",
            "status 1); it said last: Agent failed reason=x",
            "journalctl -u",
        ),
        (
            {**RUNS, "ActiveState": "activating", "SubState": "auto-restart", "NRestarts": "7"},
            None,
            [],
            "failed",
            "activating (auto-restart, restarted 7 times)",
            "journalctl -u",
        ),
    ],
)
def test_a_unit_that_does_not_run_is_told_with_its_cause_and_the_command(
    unit: dict[str, str], complaint: str | None, errors: list[str], level: str, words: str, todo: str | None
) -> None:
    (finding,) = service({SERVICE: unit}, complaint, errors)
    assert finding.level == level
    assert words in finding.detail
    assert (todo is None and finding.todo is None) or str(todo) in str(finding.todo)


def test_sockets_that_gave_up_on_a_wrong_configuration_have_their_count_forgotten_first() -> None:
    (finding,) = service({SERVICE: {**RUNS, **ENDED, "ExecMainStatus": "78"}, SOCKET: {**RUNS, **ENDED}}, None, ())
    assert finding.todo == f"`systemctl daemon-reload && systemctl restart {SOCKET} {SERVICE}`"


@pytest.mark.parametrize(
    ("unit", "socket", "level", "words"),
    [
        (RUNS, OURS, "ok", "clusterware-admin"),
        (RUNS, None, "failed", "not there"),
        (GONE, OURS, "failed", "does not listen"),
        (RUNS, SocketSeen(0o666, "clusterware-admin"), "failed", "everybody on this head may use it (mode 0666)"),
        (RUNS, SocketSeen(0o660, "users"), "warning", "its group users"),
        (RUNS, SocketSeen(0o600, "clusterware-admin"), "warning", "its mode is 0600"),
    ],
)
def test_the_socket_is_open_to_operators_and_nobody_else(
    unit: dict[str, str], socket: SocketSeen | None, level: str, words: str
) -> None:
    (finding,) = listening({SOCKET: unit}, socket, "/run/x.sock")
    assert finding.level == level
    assert words in finding.detail
    # Not `systemctl start`: systemd starts no socket whose service runs.
    assert level == "ok" or f"`systemctl restart {SOCKET} {SERVICE}`" in str(finding.todo)


@pytest.mark.parametrize(("needs", "level"), [("no", "ok"), ("yes", "warning")])
def test_unit_files_that_changed_are_told(needs: str, level: str) -> None:
    (finding,) = stale_units({SERVICE: {"NeedDaemonReload": needs}})
    assert finding.level == level
    assert level == "ok" or "systemctl daemon-reload" in str(finding.todo)


@pytest.mark.parametrize(
    ("polkit", "etcd", "runs", "levels"),
    [
        (RUNS, GONE, True, ["ok"]),
        (GONE, GONE, True, ["failed"]),
        ({}, {}, True, ["failed"]),
        ({**GONE, "LoadState": "masked"}, GONE, True, ["failed"]),
        ({**RUNS, **ENDED}, GONE, True, ["failed"]),
        ({**RUNS, "ActiveState": "inactive"}, GONE, True, ["ok"]),
        (RUNS, RUNS, True, ["ok", "warning"]),
        (RUNS, RUNS, False, ["ok"]),
        (RUNS, {**RUNS, "ActiveState": "inactive"}, True, ["ok"]),
    ],
)
def test_the_distributions_services_are_there_or_out_of_the_way(
    polkit: dict[str, str], etcd: dict[str, str], runs: Any, levels: list[str]
) -> None:
    found = neighbours({"polkit.service": polkit, "etcd.service": etcd}, runs_etcd=runs)
    assert [finding.level for finding in found] == levels


def test_an_agent_that_runs_and_does_not_answer_has_a_next_step() -> None:
    assert f"`systemctl restart {SERVICE}`" in str(hangs(service({SERVICE: RUNS}, None, ())))
    assert hangs(service({SERVICE: {**RUNS, "ActiveState": "inactive"}}, None, ())) is None
    assert hangs(unseen()) is None


@pytest.mark.parametrize(("answer", "level"), [(True, "ok"), (False, "warning"), (None, "ok")])
def test_a_clock_that_nothing_keeps_right_is_told(answer: Any, level: str) -> None:
    (finding,) = synchronised(answer=answer, why="not permitted")
    assert finding.level == level
    assert ("not permitted" in finding.detail) == (answer is None)


@pytest.mark.parametrize(
    ("running", "told"), [("0.2.0", []), (None, []), ("0.1.0", ["version 0.1.0 runs, and 0.2.0 is installed"])]
)
def test_an_agent_older_than_its_package_is_told(running: str | None, told: list[str]) -> None:
    assert [finding.detail for finding in versions(running, "0.2.0")] == told


def test_the_configuration_is_named_once() -> None:
    (finding,) = configuration("/etc/x.ini:3: [files] rot: is not a key", [], "/etc/x.ini")
    assert (finding.subject, finding.level) == ("/etc/x.ini", "failed")
    (differs,) = configuration(None, ["/etc/rule differs"], "/etc/x.ini")
    assert (differs.level, differs.detail) == ("warning", "/etc/rule differs")
    (fine,) = configuration(None, [], "/etc/x.ini")
    assert fine.level == "ok"


def test_a_key_that_cannot_be_read_is_told() -> None:
    assert key(None, "/etc/key")[0].level == "ok"
    (finding,) = key("No such file or directory", "/etc/key")
    assert finding.level == "failed"
    assert "ssh-keygen -A" in str(finding.todo)


@pytest.mark.parametrize(
    ("complaint", "told"),
    [
        ("/etc/x.ini:3: [files] rot: is not a key", "line 3: [files] rot: is not a key"),
        ("/etc/x.ini: does not exist", "does not exist"),
        ("uid: is not one", "uid: is not one"),
    ],
)
def test_what_is_wrong_with_the_configuration_names_the_file_once(complaint: str, told: str) -> None:
    (finding,) = configuration(complaint, [], "/etc/x.ini")
    assert (finding.level, finding.subject, finding.detail) == ("failed", "/etc/x.ini", told)
