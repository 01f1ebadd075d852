"""The units as they are installed: what systemd makes of them."""

from __future__ import annotations

import re

import pytest

from tests.support.heads import Head
from tests.support.heads.head import UNIT

ENGINE = "clusterware-head-agent-etcd.service"
GOAL = 1.5
"""The most exposure, on systemd's scale from 0 to 10."""


@pytest.mark.parametrize("unit", [UNIT, ENGINE])
def test_the_exposure_is_low(head: Head, unit: str) -> None:
    told = head.run("systemd-analyze", "--no-pager", "security", unit).stdout

    found = re.search(r"Overall exposure level for (\S+): ([\d.]+)", told)
    assert found is not None, told
    assert found[1] == unit
    assert float(found[2]) <= GOAL, told


def test_systemd_understands_every_line(head: Head) -> None:
    names = head.run("sh", "-c", "ls /usr/lib/systemd/system | grep ^clusterware-head-agent").stdout.split()
    units = [name.replace("@.", "@clusterware-dns.") for name in names]
    assert len(units) == 5

    done = head.run("systemd-analyze", "--no-pager", "verify", *units)

    ours = [line for line in (done.stderr + done.stdout).splitlines() if "clusterware-head-agent" in line]
    assert ours == []


def test_the_limits_are_in_force(head: Head) -> None:
    assert head.show(UNIT, "MemoryMax") == str(512 * 2**20)
    assert head.show(UNIT, "TasksMax") == "256"
    limits = head.path(f"/proc/{head.show(UNIT, 'MainPID')}/limits").read_text()
    assert re.search(r"Max open files\s+16384\s+16384", limits)
