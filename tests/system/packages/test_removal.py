"""What stays when the package is removed, and what when it is purged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.heads import Head
from tests.support.heads.head import CONFIG, SOCKET, UNIT
from tests.support.installing import NAME, SOCKET_UNIT, active, answering, dpkg, platform, state

ETCD = f"{NAME}-etcd.service"
STATE = "/var/lib/clusterware-head-agent"
_OTHERS = (
    "/etc/.pwd.lock",
    "/etc/group-",
    "/etc/gshadow-",
    "/etc/passwd-",
    "/etc/shadow-",
    "/etc/subgid-",
    "/etc/subuid-",
    "/run/",
    "/usr/share/man/",
    "/var/cache/",
    "/var/lib/dpkg/",
    "/var/lib/systemd/",
    "/var/log/",
)
"""What Debian's own tools and systemd keep, whichever package comes and goes."""


def files(head: Head) -> set[str]:
    """What is there, and whose it is, but for what changes by itself."""
    found = head.run("find", "/etc", "/usr", "/var", "/run", "/srv", "-xdev", "-printf", "%p %U %G %M\\n").stdout
    return {line for line in found.splitlines() if NAME in line or not line.startswith(_OTHERS)}


def accounts(head: Head) -> list[str]:
    """All users and groups."""
    return head.run("cat", "/etc/passwd", "/etc/group").stdout.splitlines()


def units(head: Head) -> str:
    """What systemd knows of the agent's units."""
    return head.systemctl("list-units", "--all", "--no-legend", f"{NAME}*") + head.systemctl(
        "list-unit-files", "--no-legend", f"{NAME}*", check=False
    )


def test_removal_keeps_state_and_configuration_and_purge_leaves_nothing(
    boot: Callable[[], Head], current: Path
) -> None:
    head = boot()
    head.run("groupadd", "site-images")
    head.run("install", "-d", "-m", "2775", "-g", "site-images", "/srv/images")
    head.write("/srv/images/one.iso", b"the site's")
    before, known = files(head), accounts(head)
    changed = "[files]\nroot = /srv/images\n"
    platform(head, changed)
    dpkg(head, current, "--force-confold")
    uid = head.api("POST", "/images", {"name": "kept"}).data

    head.run("dpkg", "--remove", NAME)

    assert active(head) == ["inactive"] * 2
    assert not head.path(SOCKET).exists()
    assert head.path(CONFIG).read_text() == changed
    assert head.path(f"{STATE}/agent.db").exists()
    assert not list(head.path("/etc/polkit-1/rules.d").glob(f"*{NAME}*"))
    dpkg(head, current)
    assert active(head) == ["active"] * 2
    assert head.api("GET", f"/image/{uid}").status == 200

    told = head.run("dpkg", "--purge", NAME).stderr

    assert files(head) == before
    assert accounts(head) == known
    assert units(head) == ""
    assert f"{NAME}: left as it is, with what is in it: /srv/images\n" in told
    assert head.path("/srv/images/one.iso").read_bytes() == b"the site's"


@pytest.mark.parametrize("root", ["/srv/images", "/srv/my images, 100%\\"])
def test_a_purge_keeps_the_user_whose_files_are_left(boot: Callable[[], Head], current: Path, root: str) -> None:
    head = boot()
    platform(head, f"[files]\nroot = {root}\n")
    dpkg(head, current, "--force-confold")
    assert head.run("stat", "-c", "%G", root).stdout == "clusterware-agent\n"

    told = head.run("dpkg", "--purge", NAME).stderr

    assert f"{NAME}: left as it is, with what is in it: {root}\n" in told
    assert "the user and group clusterware-agent stay, as files are theirs; when they are not: userdel" in told
    assert head.run("stat", "-c", "%G", root).stdout == "clusterware-agent\n"
    assert not head.path(STATE).exists()
    assert units(head) == ""


def test_a_purge_keeps_what_is_the_sites_below_the_agents_own_directory(
    boot: Callable[[], Head], current: Path
) -> None:
    head = boot()
    platform(head, f"[files]\nroot = {STATE}/images\n")
    dpkg(head, current, "--force-confold")
    head.write(f"{STATE}/images/one.iso", b"the site's")
    head.run("mkdir", f"{STATE}/mounted")
    head.run("mount", "-t", "tmpfs", "mine", f"{STATE}/mounted")
    head.write("/root/keep", b"root's")
    head.run("touch", f"{STATE}/mounted/theirs")
    head.run("ln", "-s", "/root", f"{STATE}/link")

    told = head.run("dpkg", "--purge", NAME).stderr

    assert head.path(f"{STATE}/images/one.iso").read_bytes() == b"the site's"
    assert head.run("ls", f"{STATE}/mounted").stdout == "theirs\n"
    assert head.path("/root/keep").exists()
    assert sorted(head.run("ls", STATE).stdout.split()) == ["images", "mounted"]
    assert f"left as it is, with what is in it: {STATE}/images\n" in told
    assert f"left as it is, with what is in it: {STATE}/mounted\n" in told
    assert units(head) == ""


def test_a_purge_of_what_never_worked_and_of_what_was_changed_by_hand_is_done_too(
    boot: Callable[[], Head], current: Path
) -> None:
    head = boot()
    before, known = files(head), accounts(head)
    dpkg(head, current)
    head.write(f"/etc/systemd/system/{UNIT}.d/60-site.conf", "[Service]\nNice=1\n")
    head.run("userdel", "clusterware-agent")

    head.run("dpkg", "--purge", NAME)

    left = {line.split()[0] for line in files(head) - before}
    assert left == {f"/etc/systemd/system/{UNIT}.d", f"/etc/systemd/system/{UNIT}.d/60-site.conf"}
    assert accounts(head) == known


def test_a_removal_that_is_given_up_starts_the_agent_again(boot: Callable[[], Head], current: Path) -> None:
    head = boot()
    platform(head)
    dpkg(head, current)
    pid = head.show(UNIT, "MainPID")
    with head.path(f"/var/lib/dpkg/info/{NAME}.prerm").open("a") as script:
        script.write("exit 1\n")

    assert head.run("dpkg", "--remove", NAME, check=False).returncode != 0

    assert state(head)[0] == "ri"  # to be removed, and installed
    assert head.show(UNIT, "MainPID") not in (pid, "0")
    assert active(head) == ["active"] * 2
    assert head.show(SOCKET_UNIT, "SubState") == "running"
    assert answering(head)


def test_whose_agent_is_stopped_is_warned_too_that_others_know_this_head(
    boot: Callable[[], Head], current: Path
) -> None:
    head = boot()
    platform(head)
    dpkg(head, current)
    other = {"uid": "0" * 32, "ssh_public": head.path("/etc/ssh/ssh_host_ed25519_key.pub").read_text().strip()}
    assert head.api("POST", "/heads", other).status == 201
    head.systemctl("disable", "--now", SOCKET_UNIT, UNIT)

    told = head.run("dpkg", "--remove", NAME).stderr

    assert f"{NAME}: this head is still a member of its cluster" in told
    assert f"cw-headctl heads evict {head.uid}" in told
    owners = head.run("find", STATE, "!", "-user", "clusterware-agent").stdout
    assert owners == ""
