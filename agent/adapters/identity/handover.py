"""This head's CA and certificate exchanged for others as a whole, so that the exchange can be undone until it counts.

The former files are linked aside before anything is replaced, and a note says for which cluster the new ones are. The
database tells later which of them count. So a kill at any moment leaves one whole set or the other to be found.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from agent.adapters.durable import replace, sync
from agent.adapters.identity.certificates import Pair
from agent.adapters.identity.pairs import write
from agent.errors import Unavailable

log = structlog.get_logger()

_FILES = ("ca.pem", "head.pem", "ca-next.pem", "ca-former.pem")
_NOTE = "handover.json"


class _Note(Struct, frozen=True):
    """For which cluster the files were replaced."""

    cluster: str


class Handover:
    """The exchange in one state directory. Every method blocks, and raises Unavailable when the disk fails."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def begin(self, cluster: str, ca: Pair, head: Pair) -> None:
        """Put the CA and the certificate of `cluster` in place, and the former ones aside."""
        try:
            replace(self._directory / _NOTE, msgspec.json.encode(_Note(cluster)))
            for name in _FILES:
                self._set_aside(name)
            sync(self._directory)
            write(self._directory / "head.pem", head)
            write(self._directory / "ca.pem", ca)
            for name in _FILES[2:]:
                (self._directory / name).unlink(missing_ok=True)
            sync(self._directory)
        except OSError as err:
            raise self._unavailable(err) from err

    def settle(self, cluster: str) -> None:
        """End an exchange, if there is one: keep the new files if they are that cluster's, else put the former back."""
        try:
            note = self._note()
            if note is None:
                return
            kept = note.cluster == cluster
            for name in _FILES:
                (self._directory / f".{name}.new").unlink(missing_ok=True)  # a draft, perhaps with the other CA's key
                aside = self._aside(name)
                if kept:
                    aside.unlink(missing_ok=True)
                elif aside.exists():
                    _put_back(aside, self._directory / name)
            sync(self._directory)
            (self._directory / _NOTE).unlink()
            sync(self._directory)
        except OSError as err:
            raise self._unavailable(err) from err
        if kept:
            log.info("Certificate of the cluster kept", cluster=cluster)
        else:
            log.warning("Former certificate put back", cluster=cluster, given_up=note.cluster)

    def _note(self) -> _Note | None:
        try:
            return msgspec.json.decode((self._directory / _NOTE).read_bytes(), type=_Note)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError as err:
            raise Unavailable(f"cannot read {self._directory / _NOTE}: {err}") from err

    def _set_aside(self, name: str) -> None:
        """A second name for a file, unless an exchange that was not ended has left one: that is the older."""
        if (self._directory / name).exists() and not self._aside(name).exists():
            os.link(self._directory / name, self._aside(name))

    def _aside(self, name: str) -> Path:
        return self._directory / f".{name}.aside"

    def _unavailable(self, err: OSError) -> Unavailable:
        return Unavailable(f"cannot exchange the certificate in {self._directory}: {err.strerror}")


def _put_back(aside: Path, path: Path) -> None:
    """Rename, also where both are names of one file: then rename(2) does nothing at all."""
    if path.exists() and aside.samefile(path):
        aside.unlink()
    else:
        aside.replace(path)
