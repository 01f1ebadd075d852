"""What an administrator does with the package on a head, and how it stands there."""

from __future__ import annotations

from pathlib import Path

from tests.support.heads import Head
from tests.support.heads.head import CONFIG, SOCKET, UNIT, Done

NAME = "clusterware-head-agent"
SOCKET_UNIT = f"{NAME}.socket"
QUIET = ("env", "DEBIAN_FRONTEND=noninteractive")
"""Debian's tools, asking nothing."""
KEEP = ("-o", "Dpkg::Options::=--force-confold")
"""For apt: a configuration file that was changed stays as it is."""


def put(head: Head, package: Path) -> str:
    """Have a package lie in a head; returns where."""
    place = f"/tmp/{package.name}"
    if not head.path(place).exists():
        head.write(place, package.read_bytes())
    return place


def dpkg(head: Head, package: Path, *options: str) -> Done:
    """Install a package as it comes, over whatever version is there."""
    return head.run(*QUIET, "dpkg", *options, "--install", put(head, package))


def apt(head: Head, package: Path, *options: str) -> Done:
    """Install a package with apt, which also looks whether all is there that it depends on."""
    argv = ("apt-get", "install", "--yes", "--no-install-recommends", "--allow-downgrades", *options)
    return head.run(*QUIET, *argv, put(head, package))


def platform(head: Head, config: str = "") -> None:
    """What is on a head before the agent comes: the platform's base.ini. `config`: what the administrator writes."""
    head.write("/opt/scyld/clusterware/conf/base.ini", f"head.uid = {head.uid}\n", 0o600)
    if config:
        head.write(CONFIG, config)


def state(head: Head) -> tuple[str, str]:
    """How dpkg finds the package, and its version: "ii" is installed and configured."""
    told = head.run("dpkg-query", "--show", "--showformat=${db:Status-Abbrev}\t${Version}", NAME).stdout
    abbreviation, _, version = told.partition("\t")
    return abbreviation.strip(), version.removesuffix("-1")


def active(head: Head) -> list[str]:
    """What systemd says of the service and the socket."""
    return head.systemctl("is-active", UNIT, SOCKET_UNIT, check=False).split()


def enabled(head: Head) -> list[str]:
    """Whether they are started at the next boot."""
    return head.systemctl("is-enabled", UNIT, SOCKET_UNIT, check=False).split()


def answering(head: Head) -> str:
    """The version of the agent that answers."""
    assert head.path(SOCKET).exists()
    version: str = head.api("GET", "/head/peerurl").data["version"]
    return version
