"""What is installed, and that it starts as a new administrator would have it."""

from __future__ import annotations

import re

from agent import __version__
from agent.hostfiles import RULE
from agent.journald import message_id
from tests.support.heads import Head
from tests.support.heads.head import CONFIG, SOCKET, UNIT, wait_for


def test_both_units_run_and_the_sockets_are_the_configured_ones(head: Head) -> None:
    assert head.systemctl("is-active", UNIT, "clusterware-head-agent.socket").split() == ["active", "active"]
    listening = head.systemctl("show", "--property=Listen", "--value", "clusterware-head-agent.socket")
    assert listening.splitlines() == ["[::]:52390 (Stream)", "/run/clusterware-head-agent.sock (Stream)"]


def test_the_operators_socket_is_for_root_and_the_admin_group(head: Head) -> None:
    assert head.run("stat", "-c", "%a %U %G", f"/{SOCKET}").stdout.split() == ["660", "root", "clusterware-admin"]


def test_a_stranger_may_not_use_the_operators_socket(head: Head) -> None:
    asked = head.run("setpriv", "--reuid=nobody", "--clear-groups", "cw-headctl", "services", check=False)

    assert asked.returncode == 5
    assert "become root, or a member of the group clusterware-admin" in asked.stderr


def test_a_member_of_the_admin_group_may(head: Head) -> None:
    argv = ["setpriv", "--reuid=nobody", "--regid=clusterware-admin", "--clear-groups", "cw-headctl", "services"]

    assert head.run(*argv).stdout.startswith("NAME ")


def test_systemd_finds_nothing_wrong_with_the_units(head: Head) -> None:
    enable = "clusterware-head-agent-enable@x.service"
    done = head.run("systemd-analyze", "verify", "--man=no", UNIT, "clusterware-head-agent.socket", enable)

    assert done.stdout + done.stderr == ""


def test_systemd_judges_the_sandbox_to_be_tight(head: Head) -> None:
    told = head.run("systemd-analyze", "security", "--no-pager", UNIT).stdout

    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", told)
    assert found is not None
    assert float(found[1]) <= 1.5


def test_the_installed_files_are_compiled_for_the_sandbox_that_cannot(head: Head) -> None:
    places = "/usr/lib/clusterware-head-agent"
    sources = head.run("find", places, "-name", "*.py").stdout.split()
    compiled = head.run("find", places, "-name", "*.pyc").stdout.split()

    assert len(sources) == len(compiled) > 0


def test_the_configuration_can_be_checked_beforehand(head: Head) -> None:
    done = head.run("clusterware-head-agent", "--check-config")

    assert done.stdout.startswith(f"{CONFIG}: right; this head is {head.uid}")


def test_nothing_is_left_to_apply(head: Head) -> None:
    assert head.run("cw-headctl", "config", "check").returncode == 0
    assert (
        head.run("cw-headctl", "config", "apply").stdout == "Nothing to write: root's files follow the configuration.\n"
    )


def test_the_agent_says_that_it_started(head: Head) -> None:
    wait_for(lambda: "Agent started" in head.journal(), "the line")


def test_the_journal_explains_what_the_agent_says(head: Head) -> None:
    assert "clusterware" not in head.run("journalctl", "--update-catalog").stderr

    explained = ("journalctl", "-x", "-u", UNIT, f"MESSAGE_ID={message_id('Agent started')}")
    told = wait_for(lambda: head.run(*explained, check=False).stdout, "the line")

    assert "Subject: Agent started" in told
    assert f"The agent, version {__version__}, is ready" in told
    assert "Documentation: man:clusterware-head-agent(8)" in told
    assert "@" not in told
    assert "Subject: Agent started" in head.run("cw-headctl", "logs", "-x", "--lines", "all").stdout


def test_what_root_changes_without_the_agent_is_audited_too(head: Head) -> None:
    def audit() -> list[str]:
        head.run("journalctl", "--sync")
        return head.run("journalctl", "-o", "cat", "AUDIT=1", "SYSLOG_IDENTIFIER=cw-headctl").stdout.splitlines()

    before = len(audit())
    head.run("rm", str(RULE))

    head.run("cw-headctl", "config", "apply")

    (line,) = wait_for(lambda: audit()[before:], "the line of the audit")
    assert line.startswith(f"Configuration applied result=done head_uid={head.uid} done=")
    assert str(RULE) in line
    assert line.endswith("local_uid=0 local_user=root")
    forged = "logger --journald <<< $'MESSAGE=Forged\\nAUDIT=1\\nSYSLOG_IDENTIFIER=cw-headctl'"
    head.run("runuser", "-u", "nobody", "--", "bash", "-c", forged)
    wait_for(lambda: "Forged" in audit(), "the line of somebody else's")
    for command in (["journalctl", "-o", "cat", "-u", UNIT, "AUDIT=1"], ["cw-headctl", "logs", "--audit"]):
        trusted = head.run(*command).stdout
        assert line in trusted
        assert "Forged" not in trusted
    assert line in head.run("cw-headctl", "logs", "--head-uid", head.uid, "--lines", "all").stdout
