"""An upgrade that is cut off in the middle, and how it is mended."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agent import __version__
from tests.support.heads import Head
from tests.support.heads.head import wait_for
from tests.support.installing import NAME, QUIET, active, answering, dpkg, platform, put, state
from tests.support.packages import NEXT

HALF_UNPACKED = (
    "dpkg-deb",
    '[ "$1" != --fsys-tarfile ] || { /usr/bin/dpkg-deb "$@" | head -c 5000000; sleep 999; }\n'
    'exec /usr/bin/dpkg-deb "$@"\n',
)
HALF_SET_UP = ("systemd-sysusers", "sleep 999\n")
"""Programs that dpkg and the package run, and what they do in the test: they get stuck."""


def cut_off(head: Head, package: Path, stuck: tuple[str, str], *stages: str) -> None:
    """Begin to install a package, and kill dpkg with all that it runs where it has come to each stage and is stuck."""
    ahead = list(stages)
    program = head.write(f"/usr/local/sbin/{stuck[0]}", f"#!/bin/sh\n{stuck[1]}", 0o755)
    argv = head.argv(*QUIET, "dpkg", "--status-fd", "1", "--install", put(head, package))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as installing:
        assert installing.stdout is not None
        while ahead:
            line = installing.stdout.readline()
            assert line, f"dpkg never came to {ahead[0]}"
            if line.startswith(f"status: {NAME}") and line.split()[-1] == ahead[0]:
                del ahead[0]
        wait_for(lambda: "sleep 999" in head.run("ps", "-eo", "args").stdout, f"{program.name} to be stuck")
        head.kill_entered()
    program.unlink()


@pytest.mark.parametrize(
    ("stuck", "stages", "mend"),
    [
        (HALF_UNPACKED, ["half-installed"], "dpkg --install {package}"),
        (HALF_SET_UP, ["half-installed", "half-configured"], "dpkg --configure --pending"),
    ],
    ids=["half unpacked", "half set up"],
)
def test_an_upgrade_that_was_killed_leaves_the_agent_at_work_and_is_mended(
    boot: Callable[[], Head], current: Path, following: Path, stuck: tuple[str, str], stages: list[str], mend: str
) -> None:
    head = boot()
    platform(head)
    dpkg(head, current)

    cut_off(head, following, stuck, *stages)

    assert state(head)[0] != "ii"
    assert answering(head) == __version__
    head.run(*QUIET, "sh", "-c", mend.format(package=put(head, following)))
    assert (state(head), active(head)) == (("ii", NEXT), ["active"] * 2)
    wait_for(lambda: answering(head) == NEXT, "the new version")


def test_a_first_installation_that_was_killed_while_it_was_set_up_is_mended(
    boot: Callable[[], Head], current: Path
) -> None:
    head = boot()
    platform(head)

    cut_off(head, current, HALF_SET_UP, "half-configured")

    assert state(head)[0] == "iF"
    head.run(*QUIET, "dpkg", "--configure", "--pending")
    assert (state(head)[0], active(head)) == ("ii", ["active"] * 2)
    assert answering(head) == __version__
