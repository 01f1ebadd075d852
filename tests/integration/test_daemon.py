"""The daemon's life: what it tells systemd, how it starts and stops, what it says when it cannot."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from agent import __version__
from tests.support.daemon import ROOT, UID, Daemon, configure, started
from tests.support.http import client

DAEMON = [sys.executable, "-m", "agent"]


def ran(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DAEMON, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)


async def asked(daemon: Daemon, path: str, method: str = "GET", **options: Any) -> tuple[int, dict[str, Any]]:
    async with client(daemon.unix) as session, session.request(method, path, **options) as answer:
        return answer.status, await answer.json()


def test_version_and_check_of_a_good_configuration(tmp_path: Path) -> None:
    assert ran("--version").stdout == f"clusterware-head-agent {__version__}\n"
    good = ran("--config", str(configure(tmp_path)), "--check-config")
    assert (good.returncode, good.stderr) == (0, "")
    assert UID in good.stdout


@pytest.mark.parametrize("check", [True, False])
def test_bad_configuration_is_one_line_and_78(tmp_path: Path, check: bool) -> None:  # noqa: FBT001  a parameter
    path = configure(tmp_path, "[log]\nlevel = loud\n")
    done = ran("--config", str(path), *(["--check-config"] if check else []))
    assert done.returncode == 78
    assert done.stderr.count("\n") == 1
    assert "[log] level" in done.stderr


def test_ready_then_stopping_then_a_clean_end(tmp_path: Path) -> None:
    with started(configure(tmp_path)) as daemon:
        assert daemon.heard() == {"READY": "1"}
        daemon.signal(signal.SIGTERM)
        assert daemon.heard() == {"STOPPING": "1"}
        status, logged = daemon.ended()
    assert status == 0, logged
    assert "Traceback" not in logged


def test_sigterm_straight_after_ready_is_still_a_clean_end(tmp_path: Path) -> None:
    for _ in range(3):
        with started(configure(tmp_path)) as daemon:
            daemon.heard()
            daemon.signal(signal.SIGTERM)
            daemon.signal(signal.SIGTERM)
            assert daemon.ended()[0] == 0


async def test_without_d_bus_it_serves_what_it_can_and_says_what_it_cannot(tmp_path: Path) -> None:
    with started(configure(tmp_path)) as daemon:
        assert daemon.heard() == {"READY": "1"}
        assert (await asked(daemon, "/healthz"))[0] == 200
        status, ready = await asked(daemon, "/readyz")
        assert status == 503
        assert {line["name"]: line["ready"] for line in ready["data"]} == {
            "systemd": False,
            "database": True,
            "database member": True,
            "files": True,
            "certificate": True,
            "cluster": True,
        }
        assert (await asked(daemon, "/head/services"))[0] == 503
        status, heads = await asked(daemon, "/api/v1/heads")
        assert (status, list(heads["data"])) == (200, [UID])


async def test_own_record_is_that_of_this_head_and_survives_a_restart(tmp_path: Path) -> None:
    records = []
    for _ in range(2):
        with started(configure(tmp_path)) as daemon:
            daemon.heard()
            records.append((await asked(daemon, f"/head/{UID}"))[1]["data"][UID])
            daemon.signal(signal.SIGTERM)
            assert daemon.ended()[0] == 0
    first, second = records
    assert first["ssh_public"].startswith("ssh-ed25519 ")
    assert "BEGIN CERTIFICATE" in first["ca_pem"]
    assert {**first, "since": 0, "last_seen": 0, "url": 0} == {**second, "since": 0, "last_seen": 0, "url": 0}


async def test_damaged_database_is_told_left_as_it_is_and_does_not_stop_the_rest(tmp_path: Path) -> None:
    config = configure(tmp_path)
    database = tmp_path / "state" / "agent.db"
    database.parent.mkdir()
    database.write_bytes(b"this is no database " * 500)
    before = database.read_bytes()
    with started(config) as daemon:
        daemon.heard()
        status, answer = await asked(daemon, "/heads")
        assert (status, answer["success"]) == (503, False)
        assert (await asked(daemon, "/head/files/unused"))[0] == 503
        assert (await asked(daemon, "/head/files/unused", "DELETE"))[0] == 503
        assert (await asked(daemon, "/healthz"))[0] == 200
        daemon.signal(signal.SIGTERM)
        assert daemon.ended()[0] == 0
    assert database.read_bytes() == before


def test_port_in_use_is_one_clear_failure(tmp_path: Path) -> None:
    config = configure(tmp_path)
    port = int(config.read_text().split("listen = 127.0.0.1:")[1].split()[0])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with started(config) as daemon:
            status, logged = daemon.ended()
    assert status == 1
    assert f"cannot listen on 127.0.0.1:{port}" in logged
    assert "Traceback" not in logged


async def test_reload_is_told_and_a_bad_file_changes_nothing(tmp_path: Path) -> None:
    config = configure(tmp_path)
    good = config.read_text()
    with started(config) as daemon:
        daemon.heard()
        for text in (good + "[log]\nlevel = debug\n", good + "[log]\nlevel = loud\n"):
            config.write_text(text)
            daemon.signal(signal.SIGHUP)
            assert "RELOADING" in daemon.heard()
            assert daemon.heard() == {"READY": "1"}
        daemon.signal(signal.SIGTERM)
        status, logged = daemon.ended()
    assert status == 0
    assert "Configuration reloaded" in logged
    assert "log.level" in logged
    assert "Configuration refused" in logged


def test_watchdog_is_fed_when_systemd_asks_for_it(tmp_path: Path) -> None:
    with started(configure(tmp_path), WATCHDOG_USEC="100000") as daemon:
        assert daemon.heard() == {"READY": "1"}
        assert {daemon.notify.recv(4096).decode() for _ in range(3)} == {"WATCHDOG=1"}


def is_listening(place: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        return sock.connect_ex(str(place)) == 0


async def test_sockets_from_systemd_win_and_are_left_in_place(tmp_path: Path) -> None:
    config = configure(tmp_path)
    place = tmp_path / "passed"
    command = f"exec systemd-socket-activate --listen={place} {sys.executable} -m agent --config {config}"
    process = subprocess.Popen(["sh", "-c", command], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        while not is_listening(place):  # there is a moment between a socket's name and its queue
            assert process.poll() is None
        async with client(place) as session, session.get("/healthz", timeout=aiohttp.ClientTimeout(20)) as answer:
            assert answer.status == 200
        assert not (tmp_path / "sock").exists()
    finally:
        process.terminate()
        process.wait(20)
    assert place.is_socket()
