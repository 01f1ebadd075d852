"""What reaches the journal's socket: a flood is held back and told of, what was changed never is; whose line it is."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

ROOT = Path(__file__).parents[2]
Logged = Callable[[str], list[bytes]]


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[Logged]:
    """Runs code in a process that logs to a journal of the test's; gives the lines, as they came."""
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journald:
        journald.bind(path)
        journald.settimeout(0.05)

        def run(code: str) -> list[bytes]:
            lines: list[bytes] = []
            ended = Event()

            def read() -> None:
                while True:
                    try:
                        lines.append(journald.recv(65536))
                    except TimeoutError:
                        if ended.is_set():
                            return

            reader = Thread(target=read)
            reader.start()
            script = (
                "import structlog\nfrom agent.log import CALLER, Logging\n"
                f"logging_ = Logging('info', 'journal', {path!r}, head_uid='me')\n"
                f"CALLER.set({{'peer': '192.0.2.9'}})\nlog = structlog.get_logger()\n{code}\nlogging_.close()\n"
            )
            try:
                subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, timeout=30)
            finally:
                ended.set()
                reader.join()
            return lines

        yield run


def test_a_flood_is_held_back_and_counted_and_what_else_is_said_is_not(logged: Logged) -> None:
    lines = logged(
        "for _ in range(50): log.warning('Request refused', peer='192.0.2.1', result='denied', audit=1)\n"
        "log.warning('Request refused', peer='192.0.2.2')\nlog.info('Agent started')"
    )

    assert sum(b"PEER=192.0.2.1\n" in line and b"MESSAGE=Request refused" in line for line in lines) == 10
    assert sum(b"PEER=192.0.2.2\n" in line for line in lines) == 1
    assert sum(b"MESSAGE=Agent started\n" in line for line in lines) == 1
    (held,) = [line for line in lines if b"MESSAGE=Log lines held back" in line]
    for field in (b"COUNT=40\n", b"HELD=Request refused\n", b"PEER=192.0.2.1\n", b"AUDIT=1\n", b"PRIORITY=4\n"):
        assert field in held


def test_a_stranger_with_many_addresses_is_held_back_too(logged: Logged) -> None:
    lines = logged("for number in range(500): log.warning('Request refused', peer=f'2001:db8::{number:x}')")

    assert sum(b"MESSAGE=Request refused" in line for line in lines) == 200
    assert any(b"COUNT=300\n" in line for line in lines)


def test_a_stranger_with_more_addresses_than_are_remembered_is_held_back_no_less(logged: Logged) -> None:
    lines = logged("for number in range(3000): log.warning('Request refused', peer=f'2001:db8::{number:x}')")

    assert sum(b"MESSAGE=Request refused" in line for line in lines) == 200
    (held,) = [line for line in lines if b"MESSAGE=Log lines held back" in line]
    assert b"COUNT=2800\n" in held
    assert b"2001:db8" not in held  # it is about none of them alone


def test_what_is_told_of_lines_that_were_held_back_is_no_flood_either(logged: Logged) -> None:
    lines = logged(
        "for number in range(1500):\n"
        "    for _ in range(2): log.info('Request passed on between heads', peer=f'2001:db8::{number:x}')"
    )

    told = [line for line in lines if b"MESSAGE=Log lines held back" in line]
    assert len(told) == 200 + 2
    assert sum(b"HELD=Log lines held back" in line and b"COUNT=1300\n" in line for line in told) == 1
    assert sum(b"HELD=Request passed on" in line and b"COUNT=1300\n" in line for line in told) == 1


def test_no_change_that_was_made_is_held_back(logged: Logged) -> None:
    lines = logged(
        "for _ in range(300): log.info('Request changed something', peer='192.0.2.1', result='done', audit=1)"
    )

    assert sum(b"AUDIT=1\n" in line for line in lines) == 300
    assert len(lines) == 300


def test_no_key_that_was_changed_and_no_token_that_was_made_is_held_back(logged: Logged) -> None:
    lines = logged(
        "for _ in range(30): log.warning('Head key changed', head_uid='you', audit=1)\n"
        "for number in range(300): log.info('Token issued', token_id=str(number), audit=1)"
    )

    assert sum(b"MESSAGE=Head key changed" in line for line in lines) == 30
    assert sum(b"MESSAGE=Token issued" in line for line in lines) == 300


def test_a_line_is_about_this_head_and_from_the_caller_unless_it_says_otherwise(logged: Logged) -> None:
    own, others = logged("log.info('One')\nlog.info('Other', head_uid='you', peer='they')")

    assert b"HEAD_UID=me\n" in own
    assert b"PEER=192.0.2.9\n" in own
    assert b"MESSAGE=One\n" in own
    assert others.count(b"HEAD_UID=") == 1
    assert b"HEAD_UID=you\n" in others
    assert others.count(b"PEER=") == 1
    assert b"PEER=they\n" in others


def test_a_list_is_a_field_with_several_values(logged: Logged) -> None:
    (line,) = logged("log.info('Acted', unit=['a.service', 'b.service'], none=[], odd=['x y'] * 100)")

    assert b"UNIT=a.service\nUNIT=b.service\n" in line
    assert b"unit=[a.service,b.service] none=[]" in line
    assert line.count(b"ODD=x y\n") == 64
    assert b"'x y',... (100)]" in line
