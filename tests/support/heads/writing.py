"""Steady writes through live heads while something happens to them: what was promised, how long nobody was served."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, pairwise
from uuid import uuid4

from tests.support.heads.head import SOCKET, Head


@dataclass(slots=True)
class Written:
    """What one head answered 201 to."""

    head: Head
    uids: list[str] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    """When each of them was answered, on this machine's monotonic clock."""
    refusals: list[str] = field(default_factory=list)
    """The codes, or kinds of broken connection, of what was not."""

    def longest_gap(self, since: float, until: float) -> float:
        """The longest time within these moments in which nothing was written."""
        inside = [since, *(moment for moment in self.moments if since < moment < until), until]
        return max(later - earlier for earlier, later in pairwise(inside))


@contextmanager
def writing(heads: Iterable[Head], every: float = 0.05) -> Iterator[list[Written]]:
    """Create images through each of these heads, one after the other, `every` so many seconds."""
    ended = threading.Event()
    done = [Written(head) for head in heads]
    threads = [threading.Thread(target=_write, args=(one, every, ended)) for one in done]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def missing(head: Head, done: Iterable[Written]) -> set[str]:
    """What was promised and this head does not have."""
    return {uid for one in done for uid in one.uids} - set(head.api("GET", "/images").data)


def remove(head: Head, done: Iterable[Written]) -> None:
    """Remove through this head what was written."""
    for one in done:
        for uid in one.uids:
            head.api("DELETE", f"/image/{uid}")


def _write(done: Written, every: float, ended: threading.Event) -> None:
    run = uuid4().hex[:8]
    for number in count():
        if ended.wait(every):
            return
        try:
            uid = _create(done.head, f"{run}-{done.head.name}-{number}")
        except (OSError, http.client.HTTPException, ValueError, KeyError) as err:
            done.refusals.append(err.args[0] if isinstance(err, _Refused) else type(err).__name__)
        else:
            done.uids.append(uid)
            done.moments.append(time.monotonic())


class _Refused(ValueError):
    """An answer that is not 201."""


def _create(head: Head, name: str) -> str:
    connection = http.client.HTTPConnection("head")
    with socket.socket(socket.AF_UNIX) as connection.sock:
        connection.sock.settimeout(20)
        connection.sock.connect(str(head.path(SOCKET)))
        connection.request("POST", "/api/v1/images", json.dumps({"name": name}))
        response = connection.getresponse()
        envelope = json.loads(response.read())
    if response.status != 201:
        raise _Refused(f"{response.status} {envelope['code']}")
    return str(envelope["data"])
