"""The daemon's sandbox, as the kernel sees it and as the agent's user finds it from inside."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.heads import Head, captive
from tests.support.heads.head import UNIT, wait_for

_CAP_LEASE = 1 << 28


_STATE = "/var/lib/clusterware-head-agent"
_AS_AGENT = "exec setpriv --reuid=clusterware-agent --regid=clusterware-agent --clear-groups"
_NOT_TAKEN = (
    "Type=",
    "NotifyAccess=",
    "Exec",
    "Restart",
    "WatchdogSec=",
    "Requires=",
    "Wants=",
    "After=",
    "[Install]",
    "WantedBy=",
    "Also=",
    "RuntimeDirectory",
)
"""Lines of the unit that say how the agent is run, and not what it may do."""


def _pid(head: Head) -> str:
    return head.show(UNIT, "MainPID")


def _inside(head: Head, script: str) -> int:
    """The exit status of a shell as the agent's user in the daemon's mount namespace."""
    user = ["setpriv", "--reuid=clusterware-agent", "--regid=clusterware-agent", "--clear-groups"]
    return head.run("nsenter", "-t", _pid(head), "-m", "--", *user, "sh", "-c", script, check=False).returncode


@pytest.fixture
def status(head: Head) -> dict[str, str]:
    lines = head.path(f"/proc/{_pid(head)}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def test_it_has_one_capability_and_can_gain_none(status: dict[str, str]) -> None:
    for kind in ("CapEff", "CapPrm", "CapBnd", "CapAmb", "CapInh"):
        assert int(status[kind], 16) == _CAP_LEASE
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


def test_a_crash_leaves_no_keys_on_the_disk(head: Head) -> None:
    limits = head.path(f"/proc/{_pid(head)}/limits").read_text()
    (core,) = (line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]


def test_it_is_its_own_user(head: Head, status: dict[str, str]) -> None:
    uid = head.run("id", "-u", "clusterware-agent").stdout.strip()

    assert uid != "0"
    assert set(status["Uid"].split()) == {uid}


@pytest.mark.parametrize(
    "path", ["/etc/shadow", "/root/x", "/etc/ssh/ssh_host_ed25519_key", "/opt/scyld/clusterware/conf/base.ini"]
)
def test_roots_secrets_cannot_be_read(head: Head, path: str) -> None:
    assert _inside(head, f"cat {path}") != 0


@pytest.mark.parametrize("place", ["/etc", "/usr/lib/clusterware-head-agent", "/var", "/opt", "/run", "/boot", "/sys"])
def test_the_system_cannot_be_written(head: Head, place: str) -> None:
    assert _inside(head, f"touch {place}/x") != 0


@pytest.mark.parametrize("place", ["/srv/store", "/var/lib/clusterware-head-agent"])
def test_its_own_places_can_be_written(head: Head, place: str) -> None:
    assert _inside(head, f"touch {place}/.probe && rm {place}/.probe") == 0


def test_its_state_is_closed_to_everybody_else(head: Head) -> None:
    modes = head.run("stat", "-c", "%a %U", "/var/lib/clusterware-head-agent").stdout.split()
    assert modes == ["700", "clusterware-agent"]
    open_files = head.run("find", "/var/lib/clusterware-head-agent", "-perm", "/077", "-type", "f").stdout
    assert open_files == ""


def test_no_secret_is_in_its_environment_or_arguments(head: Head) -> None:
    process = head.path(f"/proc/{_pid(head)}")
    shown = (process / "environ").read_bytes() + (process / "cmdline").read_bytes()

    key = Path(head.path("/etc/ssh/ssh_host_ed25519_key")).read_bytes().splitlines()[2]
    assert key not in shown
    assert b"secret" not in shown


def test_code_of_somebody_elses_in_the_agent_gets_nowhere(head: Head) -> None:
    """A unit with all of the agent's sandbox runs what an intruder would try, beside the agent itself."""
    head.write("/usr/local/lib/captive.py", Path(captive.__file__).read_bytes())
    head.write("/root/.secret", "for root alone", 0o600)
    unit = head.path(f"/usr/lib/systemd/system/{UNIT}").read_text()
    other = [line for line in unit.splitlines() if not line.startswith(_NOT_TAKEN)]
    start = f"ExecStart=/usr/bin/python3 -I /usr/local/lib/captive.py {_pid(head)} {_STATE} {head.store}"
    other[other.index("[Service]")] = f"[Service]\nType=oneshot\n{start}"
    head.write("/etc/systemd/system/captive.service", "\n".join(other) + "\n")
    drop_in = head.path(f"/etc/systemd/system/{UNIT}.d/50-config.conf").read_text()
    head.write("/etc/systemd/system/captive.service.d/50-config.conf", drop_in)
    try:
        head.systemctl("daemon-reload")
        head.systemctl("start", "captive")
        told = next(line for line in head.journal("captive.service").splitlines() if line.startswith("{"))
    finally:
        head.run(
            "rm", "-r", "/etc/systemd/system/captive.service", "/etc/systemd/system/captive.service.d", "/root/.secret"
        )
        head.systemctl("daemon-reload")

    assert json.loads(told) == {"tried": len(captive.attempts(2, "", "")), "worked": []}


def test_no_other_process_of_its_user_looks_inside_it(head: Head) -> None:
    pid = _pid(head)
    for name in ("environ", "mem", "maps", "fd"):
        done = head.run("sh", "-c", f"{_AS_AGENT} cat /proc/{pid}/{name} /proc/{pid}/{name}/0", check=False)
        assert done.stderr.count("Permission denied") >= 1, done
        assert done.stdout == ""


def test_a_file_is_restored_with_its_directories_for_the_stores_group(head: Head) -> None:
    head.run("sh", "-c", f"umask 2 && mkdir -p {head.store}/gone/inner && echo x > {head.store}/gone/inner/file")
    filename = "gone/inner/file"

    def removed() -> bool:
        answer = head.api("POST", "/head/files/remove?force=1", {"filenames": [filename]})
        return answer.status == 200 and [file["filename"] for file in answer.data] == [filename]

    wait_for(removed, "the file to be old enough")
    head.run("rmdir", f"{head.store}/gone/inner", f"{head.store}/gone")

    answer = head.api("POST", "/head/files/restore", {"filenames": [filename]})

    assert [file["filename"] for file in answer.data] == [filename], answer.body
    modes = head.run("stat", "-c", "%a %G", f"{head.store}/gone", f"{head.store}/gone/inner").stdout.splitlines()
    assert modes == ["2775 clusterware-agent"] * 2
