"""What breaks under the agent while it runs: itself killed in the middle, full disks, the bus and the journal away."""

from __future__ import annotations

import contextlib
import http.client
import signal
import threading
from collections.abc import Callable

import pytest

from tests.support.heads import Head
from tests.support.heads.head import SOCKET, UNIT, wait_for

FILES = 3000


def _write_store(head: Head, count: int, size: int = 10) -> set[str]:
    names = {f"{number:05d}.img" for number in range(count)}
    for name in names:
        (head.path(head.store) / name).write_bytes(b"x" * size)
    head.run("chmod", "-R", "g+r", head.store)
    return names


def _refer(head: Head, filename: str) -> None:
    answer = head.api("POST", "/images", {"name": "kept", "content": {"filename": filename}})
    assert answer.status == 201, answer.body


def _in_store(head: Head) -> set[str]:
    return {p.name for p in head.path(head.store).iterdir() if not p.name.startswith(".")}


def _in_trash(head: Head) -> set[str]:
    return {file["filename"] for file in head.api("GET", "/head/files/trash").data}


def _pid(head: Head) -> str:
    return head.show(UNIT, "MainPID")


def test_a_removal_that_is_killed_loses_nothing_and_the_next_one_ends_it(fresh: Callable[[], Head]) -> None:
    one = fresh()
    one.start_agent()
    names = _write_store(one, FILES)
    _refer(one, "00000.img")
    wait_for(lambda: len(one.api("GET", "/head/files/unused").data) == FILES - 1, "the files to be old enough")
    pid = _pid(one)

    def remove() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            one.api("DELETE", "/head/files/unused?force=1")

    removal = threading.Thread(target=remove)
    removal.start()
    wait_for(lambda: len(_in_store(one)) < FILES - 100, "the removal to be under way")
    one.signal(signal.SIGKILL)  # at once: it does not take long
    removal.join()
    left = _in_store(one)
    wait_for(lambda: _pid(one) not in (pid, "0"), "another process")

    assert "00000.img" in left
    assert len(left) > 1, "it was over before it was killed"
    assert left | _in_trash(one) == names
    assert left & _in_trash(one) == set()
    assert one.api("DELETE", "/head/files/unused?force=1").status == 200
    assert _in_store(one) == {"00000.img"}


def test_a_full_store_can_be_cleared(fresh: Callable[..., Head]) -> None:
    one = fresh(store_size="4M")
    one.start_agent()
    _write_store(one, 4, 4096)
    _refer(one, "00000.img")
    one.run("sh", "-c", f"cat /dev/zero > {one.store}/filler; chmod g+r {one.store}/filler", check=False)
    wait_for(lambda: len(one.api("GET", "/head/files/unused").data) == 4, "the files to be old enough")

    removed = one.api("DELETE", "/head/files/unused?force=1")

    assert removed.status == 200, removed.body
    assert "filler" in {file["filename"] for file in removed.data}
    assert one.api("DELETE", "/head/files/trash").status == 200
    one.write(f"{one.store}/fresh", "there is room again")


def test_a_full_state_disk_refuses_changes_and_nothing_else(fresh: Callable[..., Head]) -> None:
    one = fresh(state_size="4M")
    one.start_agent()
    filler = "/var/lib/clusterware-head-agent/filler"
    one.run("sh", "-c", f"cat /dev/zero > {filler}", check=False)

    def create(name: str) -> int:
        return one.api("POST", "/images", {"name": name}).status

    codes = [create(f"image{number}") for number in range(200)]

    assert set(codes) <= {201, 503}
    assert codes[-1] == 503
    assert one.api("GET", "/images").status == 200
    assert one.api("GET", "/head/services").status == 200
    assert one.api("GET", "/heads/down").status == 200

    one.run("rm", filler)
    wait_for(lambda: create("afterwards") in (201, 409), "the database to be written again")
    assert len(one.api("GET", "/images").data) == codes.count(201) + 1


def test_without_a_bus_the_agent_answers_what_it_can_and_recovers(fresh: Callable[[], Head]) -> None:
    one = fresh()
    one.start_agent()
    pid = _pid(one)
    one.systemctl("stop", "dbus.service", "dbus.socket")

    wait_for(lambda: one.api("GET", "/readyz").status == 503, "readyz to tell")
    assert one.api("GET", "/healthz").status == 200
    assert one.api("GET", "/heads").status == 200
    assert one.api("POST", "/head/services", {"status": "restart", "services": ["clusterware-head-agent"]}).status < 504

    one.systemctl("start", "dbus.socket", "dbus.service")
    wait_for(lambda: one.api("GET", "/readyz").status == 200, "readyz to be well again")
    assert one.api("GET", "/head/services").status == 200
    assert _pid(one) == pid


def test_a_first_start_on_a_full_disk_ends_well_once_there_is_room(fresh: Callable[..., Head]) -> None:
    one = fresh(state_size="1M")
    filler = "/var/lib/clusterware-head-agent/filler"
    one.run("sh", "-c", f"cat /dev/zero > {filler}", check=False)
    one.start_agent()
    assert one.api("GET", "/head/services").status == 200
    assert one.api("GET", "/head/peerurl").status == 503

    one.run("rm", filler)

    wait_for(lambda: one.path(SOCKET).exists() and one.api("GET", "/readyz").status == 200, "readyz to be well", 60)
    assert one.api("GET", "/head/peerurl").data["ca_pem"]
    assert one.run("curl", "-sk", "https://localhost:52390/healthz").stdout
    assert one.show(UNIT, "NRestarts") == "1"


def test_a_journal_that_is_stuck_does_not_stall_the_agent(fresh: Callable[[], Head]) -> None:
    one = fresh()
    one.start_agent()
    one.systemctl("kill", "--signal=STOP", "systemd-journald.service")

    for number in range(1200):
        assert one.api("POST", "/repos", {"name": f"repo{number}"}, timeout=5).status == 201

    one.systemctl("kill", "--signal=CONT", "systemd-journald.service")
    wait_for(lambda: one.journal().count("route=/repos") == 1200, "the lines that were held back")


def test_without_a_journal_the_agent_goes_on(fresh: Callable[[], Head]) -> None:
    one = fresh()
    one.start_agent()
    units = ("systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket")
    one.systemctl("stop", *units)

    for number in range(20):
        assert one.api("POST", "/images", {"name": f"image{number}"}).status == 201

    one.systemctl("start", *units[1:], units[0])
    assert one.api("POST", "/images", {"name": "last"}).status == 201
    wait_for(lambda: "/images" in one.journal(), "the journal to be written again")


@pytest.mark.parametrize("moment", range(3))
def test_a_clean_that_is_killed_leaves_a_sound_database(fresh: Callable[[], Head], moment: int) -> None:
    one = fresh()
    one.start_agent()
    for number in range(30):
        one.api("POST", "/images", {"name": f"image{number}"})
    pid = _pid(one)

    def clean() -> None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            one.api("POST", "/database/clean")

    cleaning = threading.Thread(target=clean)
    cleaning.start()
    backups = "/var/lib/clusterware-head-agent/backups"
    wait_for(lambda: moment == 0 or one.path(backups).exists() or not cleaning.is_alive(), "the clean to begin")
    one.systemctl("kill", "--signal=KILL", UNIT)
    cleaning.join()
    wait_for(lambda: _pid(one) not in (pid, "0"), "another process")

    assert one.api("GET", "/readyz").status == 200
    assert len(one.api("GET", "/images").data) == 30
    assert one.api("POST", "/database/clean").status == 200
