"""What the package for RHEL runs when it comes and goes, on the same files as Debian's package lays out."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from tests.support.heads import Head
from tests.support.heads.head import SOCKET, UNIT
from tests.support.heads.layers import CHECKOUT
from tests.support.installing import NAME, SOCKET_UNIT, active, answering, enabled, platform, put

SPEC = CHECKOUT / f"packaging/rpm/{NAME}.spec"
INSTALLED, REMOVED = "1", "0"
"""What rpm gives to a script: how many of the package there are then."""


def scriptlet(name: str) -> str:
    """A script of the specification, as rpm gives it to the shell."""
    found = re.search(
        rf"^%{name}\n(.*?)^%(?:preun|postun|posttrans|files)$", SPEC.read_text(), re.MULTILINE | re.DOTALL
    )
    assert found is not None
    return found[1].replace("%{name}", NAME)


def unpacked(head: Head, package: Path) -> None:
    """The files are there, and nothing was run."""
    platform(head, "[log]\nlevel = info\n")  # dpkg puts its own in place later
    head.run("dpkg", "--unpack", put(head, package))


def test_in_an_image_the_sites_preset_is_followed(boot: Callable[[], Head], current: Path) -> None:
    head = boot()
    unpacked(head, current)
    head.write("/etc/systemd/system-preset/10-site.preset", f"enable {NAME}.*\n")
    image = ("unshare", "--mount", "sh", "-c", f"mount -t tmpfs none /run && exec sh -s {INSTALLED}")

    head.run(*image, stdin=scriptlet("post"))

    assert (active(head), enabled(head)) == (["inactive"] * 2, ["enabled"] * 2)
    head.run(*image[:-1], image[-1].replace(INSTALLED, REMOVED), stdin=scriptlet("preun"))
    assert enabled(head) == ["disabled"] * 2


def test_a_removal_leaves_no_unit_and_no_socket(boot: Callable[[], Head], current: Path) -> None:
    head = boot()
    unpacked(head, current)
    head.run("sh", "-s", INSTALLED, stdin=scriptlet("post"))
    head.systemctl("enable", "--now", SOCKET_UNIT, UNIT)
    assert answering(head)

    head.run("sh", "-s", REMOVED, stdin=scriptlet("preun"))
    head.run("sh", "-c", f"rm /usr/lib/systemd/system/{NAME}*")
    head.run("sh", "-s", REMOVED, stdin=scriptlet("postun"))

    assert not head.path(SOCKET).exists()
    assert head.systemctl("list-units", "--all", "--no-legend", f"{NAME}*") == ""
    assert head.run("find", "/etc/systemd", "/etc/polkit-1", "-name", f"*{NAME}*").stdout == ""
