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


def cut_off(head: Head, package: Path, *stages: str) -> None:
    """Begin to install a package, and kill dpkg with all that it runs once it has come to each of these in turn."""
    ahead = list(stages)
    argv = head.argv(*QUIET, "dpkg", "--status-fd", "1", "--install", put(head, package))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as installing:
        assert installing.stdout is not None
        for line in installing.stdout:
            if line.startswith(f"status: {NAME}") and line.split()[-1] == ahead[0]:
                del ahead[0]
            if not ahead:
                head.kill_entered()
                return
    raise AssertionError(f"dpkg never came to {ahead[0]}")


@pytest.mark.parametrize(
    ("stages", "mend"),
    [
        (["half-installed"], "dpkg --install {package}"),
        (["half-installed", "half-configured"], "dpkg --configure --pending"),
    ],
)
def test_an_upgrade_that_was_killed_leaves_the_agent_at_work_and_is_mended(
    boot: Callable[[], Head], current: Path, following: Path, stages: list[str], mend: str
) -> None:
    head = boot()
    platform(head)
    dpkg(head, current)

    cut_off(head, following, *stages)

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

    cut_off(head, current, "half-configured")

    assert state(head)[0] in ("iU", "iF")
    head.run(*QUIET, "dpkg", "--configure", "--pending")
    assert (state(head)[0], active(head)) == ("ii", ["active"] * 2)
    assert answering(head) == __version__
