"""The database in etcd on a booted head: begun, killed, recovered; its unit under the real systemd."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.heads import Head
from tests.support.heads.head import UNIT, wait_for

ETCD = "clusterware-head-agent-etcd.service"
STATE = "/var/lib/clusterware-head-agent"


def _images(head: Head, number: int) -> None:
    """Have so many images more; the socket opens every route to root."""
    for n in range(number):
        assert head.api("POST", "/images", {"name": f"image{n}"}).status == 201


def _held(head: Head) -> tuple[Any, Any]:
    """The records that people see: the heads' without what is told of the moment, the images'."""
    heads = {uid: (h["ca_pem"], h["ssh_public"], h["joined"]) for uid, h in head.api("GET", "/heads").data.items()}
    return heads, head.api("GET", "/images").data


def _store(head: Head) -> str:
    answer = head.api("GET", "/head/peerurl")
    return str(answer.data["store"]) if answer.status == 200 else ""


@pytest.fixture(scope="module")
def _booted(heads: Any) -> Iterator[Head]:
    head = heads.boot("engine", state_size="768M")
    head.start_agent()
    _images(head, 20)
    yield head
    heads.shut_down(head)


@pytest.fixture
def migrated(_booted: Head) -> Head:
    """A head whose records are in etcd."""
    head = _booted
    if _store(head) != "etcd":
        before = _held(head)
        told = head.run("cw-headctl", "database", "migrate").stdout
        assert "records are in etcd now; the backup is " in told
        assert _held(head) == before
    return head


def test_a_single_head_migrates_and_can_be_written_at_once(migrated: Head) -> None:
    assert _store(migrated) == "etcd"
    assert migrated.api("POST", "/repos", {"name": "after"}).status == 201
    assert migrated.systemctl("is-active", ETCD) == "active"
    assert "Nothing to do" in migrated.run("cw-headctl", "database", "migrate").stdout


def test_etcd_runs_as_the_agents_user_in_a_tight_sandbox(migrated: Head) -> None:
    pid = migrated.show(ETCD, "MainPID")
    assert migrated.run("stat", "-c", "%U", f"/proc/{pid}").stdout.strip() == "clusterware-agent"
    told = migrated.run("systemd-analyze", "security", "--no-pager", ETCD).stdout
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", told)
    assert found is not None
    assert float(found[1]) <= 1.5
    assert migrated.run("systemd-analyze", "verify", ETCD).stderr == ""


def test_etcd_cannot_read_the_key_of_the_clusters_ca_nor_the_backups(migrated: Head) -> None:
    pid = migrated.show(ETCD, "MainPID")
    inside = ["nsenter", "-t", pid, "-m", "--", "setpriv", "--reuid=clusterware-agent", "--regid=clusterware-agent"]
    inside += ["--clear-groups", "sh", "-c"]
    assert migrated.run(*inside, f"cat {STATE}/head.pem {STATE}/etcd-ca.pem").stdout
    for hidden in (f"test -s {STATE}/ca.pem", f"ls {STATE}/backups"):
        assert migrated.run("sh", "-c", hidden, check=False).returncode == 0
        assert migrated.run(*inside, hidden, check=False).returncode != 0


def test_etcd_takes_nobody_without_a_heads_certificate(migrated: Head) -> None:
    url = f"https://{migrated.address}:52391/v3/kv/range"
    asked = ["curl", "-sk", "--max-time", "5", url, "-d", '{"key":"AA=="}']
    assert migrated.run(*asked, check=False).returncode != 0
    proof = ["--cert", f"{STATE}/head.pem"]
    assert '"cluster_id"' in migrated.run(*asked, *proof).stdout


def test_a_restart_of_the_agent_leaves_etcd_alone(migrated: Head) -> None:
    before, pid = _held(migrated), migrated.show(ETCD, "MainPID")
    migrated.systemctl("restart", UNIT)
    wait_for(lambda: migrated.api("GET", "/readyz").status == 200, "the agent to be ready")

    assert _held(migrated) == before
    assert migrated.show(ETCD, "MainPID") == pid


def test_an_etcd_that_was_stopped_is_started_again(migrated: Head) -> None:
    migrated.systemctl("stop", ETCD)

    wait_for(lambda: migrated.systemctl("is-active", ETCD, check=False) == "active", "etcd to run again")
    wait_for(lambda: migrated.api("POST", "/repos", {"name": "again"}).status in (201, 409), "the database to be back")


def _lose_quorum(head: Head) -> None:
    """Damage etcd's data beyond use, once all records are in the copy."""
    head.systemctl("restart", UNIT)  # which writes the copy once more at its end
    wait_for(lambda: head.api("GET", "/readyz").status == 200, "the agent to be ready")
    head.run("sh", "-c", f"systemctl stop {ETCD}; for f in {STATE}/etcd-*/member/snap/db; do echo x >$f; done")
    wait_for(lambda: head.api("POST", "/repos", {"name": "lost"}).status == 503, "the quorum to be gone")


def test_a_head_without_its_quorum_answers_and_recovers(migrated: Head) -> None:
    refused = migrated.run("cw-headctl", "database", "recover", "--yes", check=False)
    assert "the database has its quorum" in refused.stderr
    before = _held(migrated)
    _lose_quorum(migrated)
    assert _held(migrated) == before
    unasked = migrated.run("cw-headctl", "database", "recover", check=False)
    assert "say --yes" in unasked.stderr

    told = migrated.run("cw-headctl", "database", "recover", "--yes").stdout

    assert "This head goes on alone, in a new cluster" in told
    assert _held(migrated) == before
    assert migrated.api("POST", "/repos", {"name": "found"}).status == 201


def _killed_once(head: Head, command: str, sign: str) -> None:
    """Run a command of cw-headctl, and kill the agent as soon as a shell pattern in the state directory has a file."""
    watch = f"until ls {STATE}/{sign} >/dev/null 2>&1; do :; done; systemctl kill -s KILL {UNIT}"
    head.run("sh", "-c", f"cw-headctl database {command} & {watch}; wait", check=False)
    wait_for(lambda: head.api("GET", "/readyz").status == 200, "the agent to be ready again", 30)


@pytest.mark.parametrize("sign", ["etcd.yaml", "etcd-*/member/wal/*.wal", "copy-*.db"])
def test_killed_in_the_middle_of_a_migration_nothing_is_lost(fresh: Callable[..., Head], sign: str) -> None:
    head = fresh(state_size="512M")
    head.start_agent()
    _images(head, 5)
    before = _held(head)

    _killed_once(head, "migrate", sign)

    assert _held(head) == before
    if _store(head) == "sqlite":
        wait_for(lambda: not head.path(f"{STATE}/etcd.yaml").exists(), "what was begun to be undone", 30)
        assert head.systemctl("is-active", ETCD, check=False) != "active"
        head.run("cw-headctl", "database", "migrate")
    assert _store(head) == "etcd"
    assert _held(head) == before


@pytest.mark.parametrize("sign", ["rescued.db"])
def test_killed_in_the_middle_of_a_recovery_the_next_start_ends_it(migrated: Head, sign: str) -> None:
    before = _held(migrated)
    _lose_quorum(migrated)

    _killed_once(migrated, "recover --yes", sign)

    wait_for(lambda: migrated.api("GET", "/database/clean").status == 200, "the recovery to be ended", 60)
    assert _held(migrated) == before
    assert migrated.api("POST", "/repos", {"name": f"after {sign}"}).status == 201


def test_a_head_that_is_configured_for_etcd_is_ready_and_then_there(fresh: Callable[..., Head]) -> None:
    head = fresh(state_size="512M")
    head.start_agent("[database]\nengine = etcd\n")

    wait_for(lambda: _store(head) == "etcd", "the database to be in etcd", 30)
    head.signal(signal.SIGKILL, ETCD)
    wait_for(lambda: head.api("POST", "/repos", {"name": "x"}).status == 201, "the database to be back", 30)


def test_a_configuration_that_contradicts_what_is_in_force_is_refused_with_the_way_out(migrated: Head) -> None:
    migrated.configure("[database]\nengine = sqlite\n")
    try:
        migrated.systemctl("restart", UNIT, check=False)
        wait_for(lambda: "this head's records are in an etcd" in migrated.journal(), "the journal to say why")
        assert migrated.show(UNIT, "ExecMainStatus") == "78"
    finally:
        migrated.configure()
        migrated.systemctl("reset-failed", check=False)
        migrated.systemctl("restart", "clusterware-head-agent.socket", UNIT)
    assert _store(migrated) == "etcd"


def test_a_member_whose_data_vanished_is_not_begun_anew_by_systemd(fresh: Callable[..., Head]) -> None:
    """Under its old id it would have forgotten what it agreed to."""
    one = fresh(state_size="768M")
    one.start_agent()
    one.run("cw-headctl", "database", "migrate")
    wait_for(lambda: not one.path(f"{STATE}/etcd.begins").exists(), "the mark of a beginning to go")
    (data,) = (path for path in one.path(STATE).glob("etcd-*") if path.is_dir())
    one.run("systemctl", "stop", "clusterware-head-agent.socket", UNIT)  # which would take care of it

    one.run("rm", "-r", f"{STATE}/{data.name}")
    one.signal(signal.SIGKILL, ETCD)

    wait_for(lambda: one.show(ETCD, "ActiveState") == "inactive", "systemd to give up on it")
    assert one.show(ETCD, "ConditionResult") == "no"
    assert not (one.path(STATE) / data.name).exists()
    one.systemctl("start", UNIT)
    assert one.api("GET", "/readyz").status == 503
    assert "data of this head's database member are gone" in one.run("cw-headctl", "doctor", check=False).stdout
