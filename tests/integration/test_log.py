"""Log lines: readable on a terminal, fields in the journal, and never a stalled event loop."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.ctl.journal import Journal
from agent.journald import message_id

ROOT = Path(__file__).parents[2]


def logged(
    code: str, *, style: str = "console", level: str = "info", journal: str = "/run/systemd/journal/socket"
) -> str:
    """What a process that sets up logging and runs `code` writes to standard error."""
    script = (
        "import structlog, logging, warnings\nfrom agent.log import Logging, REQUEST_ID\n"
        f"logging_ = Logging({level!r}, {style!r}, {journal!r})\nlog = structlog.get_logger()\n"
        f"{code}\nlogging_.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout == ""
    return done.stderr


def test_terminal_line_is_plain_and_has_the_request_id() -> None:
    text = logged("REQUEST_ID.set('r-1')\nlog.info('Unit healed', unit='a.service', why='it failed')")
    assert "\x1b" not in text
    for part in ("Unit healed", "unit=a.service", "'it failed'", "request_id=r-1"):
        assert part in text


def test_level_decides_what_is_kept() -> None:
    text = logged("log.info('no')\nlog.warning('yes')\nlogging_.set_level('debug')\nlog.debug('now')", level="warning")
    assert "no" not in text.replace("now", "")
    assert "yes" in text
    assert "now" in text


def test_library_lines_and_tracebacks_come_through_the_same_pipe() -> None:
    text = logged(
        "logging.getLogger('asyncio').error('slow %s', 'callback')\n"
        "try:\n 1/0\nexcept ZeroDivisionError:\n log.exception('It broke')"
    )
    assert "slow callback" in text
    assert "asyncio" in text
    assert "ZeroDivisionError" in text


def test_what_is_no_text_does_not_end_the_journals_thread() -> None:
    assert logged("log.info('A file', name='\\udcff.iso', event_='\\ud800')", style="journal") == ""


def test_a_line_that_cannot_be_written_is_counted_and_the_next_ones_come(journald: socket.socket) -> None:
    code = (
        "import sys\nfrom agent.log import CALLER\nCALLER.set({'peer': chr(0xdcff)})\nlog.info('Bad')\n"
        "CALLER.set({})\nlog.info('Good')\nlogging_.close()\nprint(logging_.lost, file=sys.stderr)"
    )
    assert logged(code, style="journal", journal=journald.getsockname()) == "1\n"
    assert b"MESSAGE=Good\n" in journald.recv(2**16)


def test_journal_style_without_a_journal_neither_fails_nor_writes_to_the_terminal() -> None:
    assert logged("log.info('to the journal', unit='a.service')", style="journal") == ""


@pytest.mark.parametrize(("by_systemd", "journals"), [(True, True), (False, False)])
def test_a_service_that_was_started_while_the_journal_was_away_writes_there_all_the_same(
    journald: socket.socket,
    by_systemd: bool,  # noqa: FBT001
    journals: bool,  # noqa: FBT001
) -> None:
    code = (
        "import os, structlog\nfrom agent.log import Logging\n"
        f"os.environ['SYSTEMD_EXEC_PID'] = str(os.getpid() if {by_systemd} else 1)\n"
        f"logging_ = Logging('info', 'auto', {journald.getsockname()!r})\n"
        "structlog.get_logger().info('Agent started')\nlogging_.close()"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL, check=True, timeout=30)

    try:
        told = journald.recv(2**16)
    except BlockingIOError:
        told = b""
    assert (b"MESSAGE=Agent started\n" in told) is journals


def test_message_id_of_an_event_stays() -> None:
    assert message_id("Agent started") == "2ff40f81284a58828e11b5619115cced"


@pytest.fixture
def journald(tmp_path: Path) -> Iterator[socket.socket]:
    """A journal's socket, which nobody reads but the test."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "socket"))
        sock.setblocking(False)  # noqa: FBT003  the standard library's only way
        yield sock


def test_a_journal_that_is_stuck_stalls_nobody(journald: socket.socket) -> None:
    logged("for number in range(2000): log.info('A line')", style="journal", journal=journald.getsockname())

    assert b"MESSAGE=A line\n" in journald.recv(65536)


def test_the_journal_gets_fields_and_no_line_can_add_one(journald: socket.socket) -> None:
    code = "log.warning('A file', name='x\\nPRIORITY=0', _boot_id='forged')"
    logged(code, style="journal", journal=journald.getsockname())

    line = journald.recv(65536)
    name = b"x\nPRIORITY=0"
    assert b"NAME\n" + len(name).to_bytes(8, "little") + name + b"\n" in line
    assert line.split(b"\n").count(b"PRIORITY=4") == 1
    assert b"BOOT_ID=forged\n" in line
    assert b"_BOOT_ID" not in line


def test_a_line_that_is_too_long_for_the_journal_is_cut(journald: socket.socket) -> None:
    logged("log.info('Long', text='x' * 1_000_000)", style="journal", journal=journald.getsockname())

    line = journald.recv(65536)
    assert line.startswith(b"TEXT=xxx")
    assert b"PRIORITY=6\n" in line


def test_the_command_signs_its_own_lines_and_says_who_runs_it(journald: socket.socket) -> None:
    Journal(journald.getsockname()).warning("Configuration not applied", audit=1, reason="no room")

    fields = journald.recv(65536).splitlines()
    for field in (b"SYSLOG_IDENTIFIER=cw-headctl", b"AUDIT=1", b"PRIORITY=4", b"LOCAL_UID=%d" % os.getuid()):
        assert field in fields
    assert f"MESSAGE_ID={message_id('Configuration not applied')}".encode() in fields


def test_the_command_goes_on_where_there_is_no_journal(tmp_path: Path) -> None:
    Journal(str(tmp_path / "nobody")).info("Configuration applied")
