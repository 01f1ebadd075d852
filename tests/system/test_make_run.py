"""`make run`, as a newcomer sees it: in a throw-away head, and on a machine that systemd runs."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.heads import Head, Heads
from tests.support.heads.layers import CHECKOUT
from tests.system.demo import throwaway

TRACES = (
    "/usr/sbin/clusterware-head-agent",
    "/usr/lib/clusterware-head-agent",
    "/usr/lib/systemd/system/clusterware-head-agent.service",
    "/etc/clusterware-head-agent",
    "/etc/systemd/system/clusterware-head-agent.service.d",
    "/etc/systemd/system/clusterware-head-agent-etcd.service.d",
    "/etc/polkit-1/rules.d/60-clusterware-head-agent.rules",
    "/var/lib/clusterware-head-agent",
    "/run/clusterware-head-agent.sock",
)


@pytest.fixture(scope="module")
def machine() -> Iterator[Head]:
    """A machine that systemd runs and that has never had an agent."""
    with Heads(installed=False) as heads:
        yield heads.boot("machine", shared=[CHECKOUT])


def test_each_printed_command_works_in_the_throw_away_head() -> None:
    with Heads() as heads, throwaway.agent(heads) as told:
        for meaning, command in told:
            done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=CHECKOUT, timeout=30)
            expected = (0, 3) if re.search("cw-headctl (services$|status)", command) else (0,)
            assert done.returncode in expected, f"{meaning}: {command}: {done.stdout}{done.stderr}"
            if "json.tool" in command:
                assert json.loads(done.stdout)["success"] is True, f"{meaning}: {command}: {done.stdout}"
    assert not (CHECKOUT / throwaway.RUN).exists()


def test_it_works_on_a_machine_that_systemd_runs_and_leaves_nothing(machine: Head) -> None:
    before = _traces(machine)
    run = subprocess.Popen(
        machine.argv("make", "--no-print-directory", "-C", str(CHECKOUT), "run"),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        _try_what_it_prints(machine, run)
    finally:
        machine.run("pkill", "-INT", "-f", "tests.system.demo", check=False)
        said, _ = run.communicate(timeout=20)
    assert "Stopped; nothing is left behind." in said
    assert _traces(machine) == before


def _traces(machine: Head) -> dict[str, str]:
    """What an agent would leave, as it is: users, files, stores."""
    found = {path: machine.path(path).read_text() for path in ("/etc/passwd", "/etc/group")}
    places = [*TRACES, *(str(p) for p in machine.path("/srv").iterdir())]
    return found | {path: machine.run("find", path, check=False).stdout for path in places}


def _try_what_it_prints(machine: Head, run: subprocess.Popen[str]) -> None:
    assert run.stdout is not None
    said = []
    for line in run.stdout:
        said.append(line)
        if "Ctrl-C ends it" in line:
            break
    commands = [line.strip() for line in said if line.startswith("  ") and not line.startswith("  #")]
    assert len(commands) > 5, "".join(said)
    for command in commands:
        done = machine.run("timeout", "10", "sh", "-c", command, check=False)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
