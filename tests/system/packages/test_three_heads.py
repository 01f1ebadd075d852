"""A day of an operator: the package on three heads, and what the documents say typed as it stands there."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.heads import Head, Heads
from tests.support.heads.head import CONFIG, UNIT, Done, wait_for
from tests.support.installing import NAME, QUIET, active, platform, put

CHECKOUT = Path(__file__).parents[3]
README, INSTALL, CLUSTER, UPGRADE = "README.md", "docs/install.md", "docs/cluster.md", "docs/upgrade.md"
STORE = "/opt/scyld/clusterware/storage"
PATIENCE = 40.0
DONE, FAILED, USAGE, DEGRADED, UNREACHABLE, DENIED = range(6)


def types(head: Head, page: str, command: str, *, status: int = DONE, more: str = "", **words: str) -> str:
    """Run a command of a page on a head, capitals replaced by these words; what it printed."""
    assert command in (CHECKOUT / page).read_text(), f"{command} is not in {page}"
    for word, value in words.items():
        command = re.sub(rf"\b{word}\b", value, command)
    return said(head, command + more, status=status)


def said(head: Head, command: str, *, status: int = DONE) -> str:
    """Run a command in a shell of a head, in root's home; what it printed."""
    done = head.run(*QUIET, "sh", "-c", f"cd /root && {command}", check=False, timeout=120)
    assert done.returncode == status, f"{command}: {done.returncode}: {done.stdout}{done.stderr}\n{tail(head)}"
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def tail(head: Head) -> str:
    """The end of the agent's journal."""
    return head.journal()[-3000:]


def steps(head: Head, status: int) -> dict[str, str]:
    """What the doctor names to be done, by the check that asks for it, once it ends so; each command is one."""

    def examined() -> str:
        done = head.run("cw-headctl", "doctor", "--json", check=False)
        return done.stdout if done.returncode == status else ""

    findings = json.loads(wait_for(examined, f"the doctor to end with {status}", PATIENCE))["findings"]
    todo = {finding["check"]: finding["todo"] for finding in findings if finding["level"] != "ok"}
    for command in re.findall(r"`(cw-headctl [^`]*)`", " ".join(filter(None, todo.values()))):
        assert head.run(*shlex.split(command), "--help").stdout.startswith("usage: cw-headctl"), command
    return todo


def tells(head: Head, what: str) -> Callable[[], bool]:
    """Whether the status of a head says so."""
    return lambda: what in head.run("cw-headctl", "status", check=False).stdout


def screen(head: Head) -> list[str]:
    """What `cw-headctl status` shows on a terminal of 80 columns."""
    done: Done = head.run(
        "script", "-qec", "stty cols 80 rows 24; NO_COLOR=1 cw-headctl status", "/dev/null", check=False
    )
    return done.stdout.replace("\r", "").splitlines()


@pytest.fixture
def three(bare: Heads, current: Path) -> Iterator[list[Head]]:
    """Three heads, on the first of which not even the platform is, with the package in root's home."""
    heads = bare.boot_all("day1", "day2", "day3")
    for head in heads:
        put(head, current)
        head.run("mv", f"/tmp/{current.name}", "/root")
    for head in heads[1:]:
        platform(head)
    yield heads
    for head in heads:
        if head.is_on:
            head.crash()
    bare.shut_down_all(heads)


def install(head: Head) -> str:
    """As the page says; what it prints of the agent."""
    told = types(head, INSTALL, "apt-get install ./clusterware-head-agent_0.2.0-1_amd64.deb", more=" --yes")
    return "\n".join(line for line in told.splitlines() if line.startswith(NAME))


def join(founder: Head, head: Head, more: str = "") -> None:
    """As the page says: what `token --join` prints is run on the new head."""
    printed = types(founder, README, "cw-headctl token --join").strip().splitlines()[-1]
    assert "is a member of the cluster" in said(head, printed + more)


def all_up(head: Head, count: int) -> Callable[[], bool]:
    """Whether a head finds so many heads, all up."""
    return lambda: [one["state"] for one in head.api("GET", "/heads").data.values()] == ["up"] * count


@pytest.mark.timeout(240)
def test_a_day_of_an_operator(bare: Heads, three: list[Head]) -> None:
    one, two, last = three
    with ThreadPoolExecutor(3) as pool:
        told = list(pool.map(install, three))
    _first_configuration(one, told[0])
    assert told[1:] == ["", ""]

    _form_a_cluster(one, two, last)
    _mend_a_service(one)
    _remove_files(one)
    _keep_the_records(one)
    _change_the_configuration(one)
    _agent_is_down(one)
    _replace_a_dead_head(bare, one, two, last)
    _take_a_head_out(one, last)


def _first_configuration(head: Head, told: str) -> None:
    assert "[head] uid: is not set" in told
    assert active(head) == ["inactive"] * 2
    assert "[head] uid: is not set" in said(head, "cw-headctl doctor", status=UNREACHABLE)
    said(head, f"sed -i 's/^#uid =.*/uid = {head.uid}/' {CONFIG}")
    assert head.uid in types(head, INSTALL, "clusterware-head-agent --check-config")
    command = told.partition("mend that, then: ")[2]
    assert "Wrote /etc/polkit-1/rules.d" in said(head, command)
    said(head, "useradd --create-home alice")
    types(head, INSTALL, "usermod --append --groups clusterware-admin alice")
    assert NAME in said(head, "runuser -u alice -- cw-headctl services")
    assert "it is for root: use sudo" in said(head, "runuser -u alice -- cw-headctl token --join", status=DENIED)
    assert "become root, or a member" in said(head, "runuser -u nobody -- cw-headctl services", status=DENIED)


def _form_a_cluster(one: Head, two: Head, last: Head) -> None:
    types(one, README, "cw-headctl database migrate")
    join(one, two)
    join(one, last)
    for head in (one, two):
        wait_for(all_up(head, 3), "three heads", PATIENCE)
        wait_for(tells(head, "bears the loss of 1"), "the members", PATIENCE)
    assert types(two, CLUSTER, "cw-headctl heads ls").count(" up ") == 3
    rows = types(one, CLUSTER, "cw-headctl --all-heads services").splitlines()[1:]
    assert {row.split()[0] for row in rows} == {"day1", "day2", "day3"}
    token = types(one, README, "cw-headctl token --lifespan 7d --permissions HeadsRead,ImagesRead").strip()
    curl = f"curl -sk -H 'Authorization: Bearer {token}' https://day2:52390"
    assert '"standing":"majority"' in said(one, f"{curl}/api/v1/heads/down")
    assert "clusterware_head_heads" in said(one, f"{curl}/metrics")
    assert "cw-headctl(8)" in said(one, "man -P cat cw-headctl").lower()


def _mend_a_service(head: Head) -> None:
    checks = "test -e /run/mended || { echo cannot bind >&2; exit 3; }"  # never up, not even when it is healed
    head.write("/etc/systemd/system/clusterware-dns.service", f"[Service]\nExecStartPre=/bin/sh -c '{checks}'\n"
               "ExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n")  # fmt: skip
    head.systemctl("daemon-reload")
    wait_for(lambda: "clusterware-dns" in said(head, "cw-headctl services"), "the service to be seen")
    said(head, "cw-headctl services enable --now clusterware-dns", status=FAILED)
    wait_for(lambda: head.show("clusterware-dns", "ActiveState") == "failed", "it to fail")
    wait_for(lambda: "clusterware-dns" in steps(head, DEGRADED).get("services", ""), "the doctor to say so")
    shown = screen(head)
    assert len(shown) <= 24
    assert max(map(len, shown)) <= 80
    assert next(line for line in shown if line.startswith(("failed", "warning"))).startswith("failed   services")
    said(head, "cw-headctl status", status=DEGRADED)
    head.write("/run/mended", "")
    said(head, "cw-headctl services start clusterware-dns")
    wait_for(tells(head, "Everything is well."), "all to be well", PATIENCE)
    said(head, "cw-headctl status")


def _remove_files(head: Head) -> None:
    said(head, f"mount -t tmpfs -o size=8M,mode=755 store {STORE} && cw-headctl config apply && "
               f"systemctl restart {NAME}.socket {UNIT}")  # fmt: skip
    _agent_answers(head)
    head.api("POST", "/images", {"name": "kept", "content": {"filename": "kept.squashfs"}})
    said(head, f"cd {STORE} && for file in kept.squashfs old.iso; do head -c 1000 /dev/zero > $file; done; "
               "touch --date '2 hours ago' *")  # fmt: skip
    _set(head, "files", "min_age", "1s")
    assert "To do: systemctl reload" in types(head, INSTALL, "cw-headctl config apply")
    said(head, f"systemctl reload {UNIT}")
    assert said(head, "cw-headctl config apply") == "Nothing to write: root's files follow the configuration.\n"
    wait_for(lambda: "old.iso" in said(head, "cw-headctl files unused"), "the file to be old enough")
    assert "kept" not in said(head, "cw-headctl files unused")
    assert "say --yes" in said(head, "cw-headctl files rm", status=USAGE)
    assert "files restore FILE" in said(head, "cw-headctl files rm --yes")
    assert "old.iso" in said(head, "cw-headctl files trash")
    types(head, README, "cw-headctl files restore rescue.iso", rescue="old")
    assert head.path(f"{STORE}/old.iso").exists()


def _keep_the_records(head: Head) -> None:
    assert "Nothing is wrong" in said(head, "cw-headctl database check")
    said(head, "cw-headctl database clean --yes")
    backup = said(head, "cw-headctl database backup").strip()
    assert backup in said(head, "cw-headctl database backups")
    said(head, "cw-headctl database save /root/all.json")
    assert "say --force" in said(head, "cw-headctl database save /root/all.json", status=USAGE)
    assert "Nothing to do." in said(head, "cw-headctl database load /root/all.json")


def _change_the_configuration(head: Head) -> None:
    _set(head, "services", "patterns", "clusterware*.service, chronyd.service")
    assert "unit files" not in steps(head, DEGRADED)
    assert steps(head, DEGRADED)["configuration"].startswith("`cw-headctl config apply`")
    (todo,) = re.findall("To do: (.*)", said(head, "cw-headctl config apply"))
    said(head, todo)
    _agent_answers(head)
    assert "configuration" not in steps(head, DONE)


def _agent_is_down(head: Head) -> None:
    text = head.path(CONFIG).read_text()
    head.write(CONFIG, text + "\n[nonsense]\nx = 1\n")
    said(head, f"systemctl restart {UNIT}", status=1)
    assert "doctor" in said(head, "cw-headctl status", status=UNREACHABLE)
    todo = steps(head, UNREACHABLE)
    head.write(CONFIG, text)
    (command,) = re.findall("then `(systemctl [^`]*)`", todo["agent"])
    said(head, command)
    _agent_answers(head)


def _replace_a_dead_head(bare: Heads, one: Head, two: Head, last: Head) -> None:
    bare.power_off(last)
    for head in (one, two):
        wait_for(lambda by=head: by.api("GET", "/heads/down").data, "the head to be down", PATIENCE)  # type: ignore[misc]
    assert last.uid in said(one, "cw-headctl heads down", status=DEGRADED)
    listed = types(one, CLUSTER, "cw-headctl heads ls", status=DEGRADED).splitlines()[1]
    assert re.search(rf"^{last.uid} +down .* not for [0-9.]+ s ", listed)
    wait_for(lambda: "heads" in steps(one, DEGRADED), "the doctor to say so", PATIENCE)
    assert "down" in next(line for line in screen(one) if line.startswith("failed"))
    assert f"head {last.uid} cannot be reached" in said(one, "cw-headctl --head day3 services", status=UNREACHABLE)
    assert last.uid in types(two, CLUSTER, "cw-headctl heads evict --down --yes")
    wait_for(all_up(one, 2), "the head to be gone", PATIENCE)
    bare.power_on(last)
    _agent_answers(last)
    wait_for(lambda: "cluster" in steps(last, DEGRADED), "the head to learn that it was removed", PATIENCE)
    join(one, last, " --force")
    for head in (one, last):
        wait_for(all_up(head, 3), "three heads again", PATIENCE)
        wait_for(tells(head, "bears the loss of 1"), "the members", PATIENCE)


def _take_a_head_out(one: Head, last: Head) -> None:
    types(last, UPGRADE, "cw-headctl leave --yes")
    wait_for(all_up(one, 2), "it to have left", PATIENCE)
    assert "still a member" not in types(last, UPGRADE, "apt-get purge clusterware-head-agent", more=" --yes")
    assert not any(
        last.path(place).exists() for place in ("/usr/bin/cw-headctl", CONFIG, "/var/lib/clusterware-head-agent")
    )
    left = last.run("find", "/etc", "/usr", "/var/lib", "-path", f"*{NAME}*", "-not", "-path", "*/dpkg/*").stdout
    assert left == ""


def _set(head: Head, section: str, key: str, value: str) -> None:
    """Change a key where the file has it commented out."""
    text, count = re.subn(
        rf"(?ms)^(\[{section}\]$.*?)^#{key} = .*?$", rf"\1{key} = {value}", head.path(CONFIG).read_text()
    )
    assert count == 1
    head.write(CONFIG, text)


def _agent_answers(head: Head) -> None:
    wait_for(
        lambda: head.run("cw-headctl", "services", check=False).returncode in (DONE, DEGRADED), "the agent", PATIENCE
    )
