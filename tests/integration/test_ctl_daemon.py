"""cw-headctl against the real daemon: every command does its work, and its data is what docs/cw-headctl.md says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.ctl.commands import COMMANDS
from agent.ctl.outcome import Exit
from tests.support.company import eventually
from tests.support.ctl import ctl
from tests.support.daemon import UID, Daemon, configure, started
from tests.support.fake_systemd import FakeSystemd
from tests.support.private_bus import PrivateBus
from tests.support.shapes import documented, unfit
from tests.support.unit_specs import Spec

YOUNG = "min_age = 1s\n"


@dataclass
class Operated:
    """A daemon with a systemd, and an operator beside it."""

    daemon: Daemon

    async def types(self, *words: str, status: int = 0, stdin: str = "") -> str:
        """What a command prints."""
        done = await asyncio.to_thread(ctl, self.daemon.unix, *words, stdin=stdin)
        assert done.returncode == status, (words, done.stdout, done.stderr)
        return done.stdout

    async def data(self, *words: str, status: int = 0, shape: str | None = None) -> Any:
        """What a command gives to programs, which fits its documented shape."""
        told = json.loads(await self.types("--json", *words, status=status))
        name = shape or " ".join(words[:2])
        assert unfit(documented()[name], told) == [], told
        return told


@pytest.fixture
async def operated(tmp_path: Path) -> AsyncIterator[Operated]:
    bus = PrivateBus(tmp_path)
    bus.start()
    systemd = FakeSystemd(bus)
    await systemd.connect()
    systemd.install("chronyd.service", Spec())
    try:
        config = configure(tmp_path)
        config.write_text(config.read_text().replace("[files]\n", f"[files]\n{YOUNG}"))
        with started(config, bus=bus.address) as daemon:
            assert (await asyncio.to_thread(daemon.heard)) == {"READY": "1"}
            yield Operated(daemon)
    finally:
        await systemd.close()
        bus.stop()


def test_the_page_has_every_command_and_no_other() -> None:
    paths = {row.path for row in COMMANDS if not row.hidden}
    assert paths <= set(documented()), "name the shape of its --json in docs/cw-headctl.md"
    assert {name.partition(" --")[0] for name in documented()} <= paths


async def test_services_are_operated(operated: Operated) -> None:
    (row,) = (row for row in await operated.data("services", "ls", status=Exit.OK) if row["name"] == "chronyd")
    assert row["status"] == "down"
    (done,) = await operated.data("services", "start", "chronyd")
    assert (done["status"], done["actions"][0]["result"]) == ("up", "done")
    await operated.data("services", "restart", "chronyd.service")
    assert "chronyd  up" in await operated.types("services")
    refused = await asyncio.to_thread(ctl, operated.daemon.unix, "services", "start", "nonesuch")
    assert refused.returncode == Exit.USAGE
    assert "`cw-headctl services` shows" in refused.stderr


async def test_files_go_to_the_trash_and_come_back(operated: Operated) -> None:
    store = operated.daemon.config.parent / "store"
    for name in ("a.iso", "b.iso"):
        (store / name).write_bytes(b"x" * 1024)

    async def unused() -> dict[str, Any]:
        return {file["filename"]: file for file in await operated.data("files", "unused")}

    await eventually(unused, lambda files: set(files) == {"a.iso", "b.iso"})  # once they are old enough
    assert await operated.data("files", "references") == []
    would = await operated.data("files", "rm", "--force", "--dry-run")
    assert [file["filename"] for file in would["removed"]] == ["a.iso", "b.iso"]
    refused = await asyncio.to_thread(ctl, operated.daemon.unix, "files", "rm", "--yes")
    assert refused.returncode == Exit.FAILED
    assert "--force" in refused.stderr
    assert "2.0 KiB" in await operated.types("files", "rm", "--force", "--yes")
    assert not list(store.glob("*.iso"))
    assert len(await operated.data("files", "trash")) == 2
    assert (await operated.data("files", "restore", "a.iso"))["kept"] == []
    assert (store / "a.iso").read_bytes() == b"x" * 1024
    emptied = await operated.data("files", "empty-trash", "--yes")
    assert [file["filename"] for file in emptied["removed"]] == ["b.iso"]
    assert await operated.types("files", "trash") == "The trash is empty.\n"


async def test_records_are_saved_loaded_checked_cleaned_and_brought_back(operated: Operated, tmp_path: Path) -> None:
    saved = tmp_path / "all.json"
    assert (await operated.data("database", "save", str(saved)))["records"] == {"cluster": 1, "head": 1}
    assert saved.stat().st_mode & 0o777 == 0o600
    await operated.types("database", "save", str(saved), status=Exit.USAGE)
    document = json.loads(saved.read_text())
    image = {"kind": "image", "uid": "a" * 32, "body": {"name": "compute", "content": {"filename": "gone.squashfs"}}}
    document["records"].append(image)
    saved.write_text(json.dumps(document))
    assert "0 to change" in (await asyncio.to_thread(ctl, operated.daemon.unix, "database", "load", str(saved))).stderr
    loaded = await operated.data("database", "load", str(saved), "--yes")
    assert (loaded["written"], loaded["plan"]["ignored"]) == (1, {"cluster": 1, "head": 1})
    assert (await operated.data("database", "load", str(saved)))["written"] == 0
    again = json.loads(await operated.types("database", "save", "-"))
    assert image in again["records"]

    checked = await operated.data("database", "check", status=Exit.DEGRADED)
    assert [found["target"] for found in checked["findings"]] == ["gone.squashfs"]
    backup = await operated.data("database", "backup")
    await operated.data("database", "clean", "--yes", "--timeout", "60")
    assert backup["name"] in [made["name"] for made in await operated.data("database", "backups")]
    assert (await operated.data("database", "restore", backup["name"], "--yes"))["name"] == backup["name"]


async def test_heads_keys_and_configuration_are_shown(operated: Operated) -> None:
    config = str(operated.daemon.config)
    assert set(await operated.data("heads", "ls")) == {UID}
    assert set(await operated.data("heads", "show", "self")) == {UID}
    assert set(await operated.data("heads", "show", UID[:6])) == {UID}
    assert (await operated.data("heads", "evict", "--down", shape="heads evict --down")) == {"removed": [], "kept": []}
    await operated.data("ca", "show")
    await operated.data("token", "--lifespan", "5min", "--permissions", "HeadsRead", shape="token")
    await operated.data("config", "check", "--config", config, status=Exit.DEGRADED)
    await operated.data("status", status=Exit.DEGRADED, shape="status")
    await operated.data("doctor", "--config", config, status=Exit.DEGRADED, shape="doctor")
    for words in (["leave", "--yes"], ["database", "recover", "--yes"]):
        refused = await asyncio.to_thread(ctl, operated.daemon.unix, *words)
        assert refused.returncode == Exit.FAILED
        assert "nothing was changed" in refused.stderr
