"""The unit of this head's own etcd, and the files that it runs from."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from agent.adapters.durable import replace
from agent.adapters.etcd.settings import BEGINS, DATABASE, LINK, data_directory
from agent.adapters.etcd.transfer import blocking
from agent.errors import Denied, Failed, NotFound, TimedOut, Unavailable
from agent.hostfiles import ENGINE_UNIT
from agent.ports import UnitManager, Verb

STOPPING = 30.0
"""Seconds that a stop may take; systemd kills it after 20."""


class NotStarted(Unavailable):
    """It ended before it was ready."""


class EtcdUnit:
    """Has the unit run from just these files, or not at all.

    Files are written only while it is stopped, so what lies on the disk is what the running one was started with.
    """

    def __init__(self, settings: Path, authorities: Path, units: UnitManager, binary: Path) -> None:
        """`settings`, `authorities`: its configuration and the CAs that it believes."""
        self._settings = settings
        self._authorities = authorities
        self._units = units
        self._binary = binary

    async def run(self, settings: str, authorities: str, *, timeout: float, fresh: bool = False) -> None:
        """Have it run from this configuration and these CAs; restarted when it ran from others, or when `fresh`.

        Raises NotStarted, or Unavailable, also when it has not said within `timeout` seconds that it is ready: a member
        of several does not while there is no quorum, and goes on trying.
        """
        await self.need_binary()
        if fresh or not await self.runs_from(settings, authorities):
            await self._job(Verb.STOP, STOPPING)
            await blocking(lambda: self._write(settings, authorities, fresh=fresh))
        await self._job(Verb.START, timeout)
        await self.has_begun()

    async def has_begun(self) -> None:
        """It is running: from now on it is not started again without its data, which systemd looks for."""
        await blocking(lambda: self._guard(_text(self._settings)))

    async def stop(self) -> None:
        """Stop it, and take away the configuration, without which nothing starts it. Raises Unavailable."""
        if await blocking(self._settings.exists):
            await self._job(Verb.STOP, STOPPING)
            await blocking(self._take_away)

    async def runs_from(self, settings: str, authorities: str) -> bool:
        """Whether that is what it was started with."""
        return await blocking(lambda: (_text(self._settings), _text(self._authorities))) == (
            settings,
            authorities,
        )

    async def believe(self, authorities: str) -> None:
        """Stop it, if it runs, and keep these CAs for this head's own connections to other heads' members."""
        await self.stop()
        if await self.believed() != authorities:  # else every connection would be made anew
            await blocking(lambda: replace(self._authorities, authorities.encode()))

    async def believed(self) -> str | None:
        """The CAs (PEM) that the running etcd, or without one this head's own connections, believe; None: nobody's."""
        return await blocking(lambda: _text(self._authorities))

    def _write(self, settings: str, authorities: str, *, fresh: bool) -> None:
        replace(self._authorities, authorities.encode())
        if fresh and not (data_directory(settings) / DATABASE).exists():
            replace(self._settings.with_name(BEGINS), b"")
        self._point(data_directory(settings))
        replace(self._settings, settings.encode())

    def _guard(self, settings: str | None) -> None:
        """Have the link name the data directory, also where an agent before 0.2 has begun it."""
        if settings is not None:
            self._point(data_directory(settings))
            self._settings.with_name(BEGINS).unlink(missing_ok=True)

    def _point(self, data: Path) -> None:
        link = self._settings.with_name(LINK)
        if link.is_symlink() and link.readlink() == Path(data.name):
            return
        draft = link.with_name(f".{LINK}.new")
        draft.unlink(missing_ok=True)
        draft.symlink_to(data.name)
        draft.rename(link)

    def _take_away(self) -> None:
        for name in (self._settings.name, LINK, BEGINS):
            self._settings.with_name(name).unlink(missing_ok=True)

    async def need_binary(self) -> None:
        """Raises Unavailable, with what to do, where there is no etcd to run."""
        if not await blocking(lambda: os.access(self._binary, os.X_OK)):
            raise Unavailable(
                f"cannot start the database: {self._binary} is not there: install etcd-server 3.4 or newer"
                " (and mask the distribution's own etcd.service)",
                code="no-etcd",
            )

    async def _job(self, verb: Verb, timeout: float) -> None:
        """Ask systemd; raises Unavailable with what to do."""
        doing = f"cannot {verb} the database"
        look = f"see `journalctl -u {ENGINE_UNIT}`"
        try:
            result = await self._units.job(verb, ENGINE_UNIT, timeout)
        except Denied as err:
            raise Unavailable(f"{doing}: {err.reason}: run `cw-headctl config apply` as root") from err
        except NotFound as err:
            if verb is Verb.STOP:
                return
            raise Unavailable(f"{doing}: {ENGINE_UNIT} is not installed: install the package again") from err
        except TimedOut as err:
            raise Unavailable(f"{doing}: it has not done so within {timeout:g} s: {look}", code="not-ready") from err
        except Failed as err:
            raise Unavailable(f"{doing}: {err.reason}: {look}") from err
        if result != "done":
            raise (NotStarted if verb is Verb.START else Unavailable)(f"{doing}: systemd says {result}: {look}")


def _text(path: Path) -> str | None:
    with contextlib.suppress(FileNotFoundError):
        return path.read_text(encoding="utf-8")
    return None
