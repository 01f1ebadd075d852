"""Throw-away heads go with whoever booted them, however that ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.heads.head import wait_for
from tests.support.heads.layers import CHECKOUT

_PROGRAM = """
import signal
from tests.support.heads import Heads
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background inherits that it is ignored
with Heads(installed=False) as heads:
    head = heads.boot()
    print(heads._keeper.pid, *heads._groups, flush=True)
    signal.pause()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_a_run_that_is_ended(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=CHECKOUT
    ) as run:
        assert run.stdout is not None
        keeper, *groups = run.stdout.readline().split()
        assert all(os.path.isdir(group) for group in groups)
        mounts = Path("/proc/self/mounts").read_text()
        run.send_signal(number)
        try:
            run.wait(20)
        finally:
            run.kill()

    wait_for(lambda: not Path("/proc", keeper).exists(), "the keeper to end")
    assert [group for group in groups if os.path.exists(group)] == []
    assert "/run/heads" not in mounts
