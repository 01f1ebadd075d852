"""A client of etcd's v3 JSON gateway: short attempts, another member when one does not answer, one cluster only."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from io import BytesIO
from typing import TypeVar

import aiohttp
import msgspec

from agent.adapters.etcd.endpoints import Endpoints
from agent.adapters.etcd.errors import Again, Foreign, InDoubt, NoQuorum, judged
from agent.adapters.etcd.succession import LOOK, next_leader
from agent.adapters.etcd.wire import Answer, Body, Header, Ranged, Status, Txn, Version, get
from agent.errors import AgentError
from agent.ports import Clock

ATTEMPT = 1.0
"""Seconds that one member is given to answer: a hung one is left after that."""
DEADLINE = 5.0
"""Seconds within which some member must have answered; an election of a leader takes 2 to 3."""
PAUSE = 0.05
"""Seconds between two attempts once every member has failed."""
_LARGE = 2**18
"""Bytes above which a body is sent in pieces."""
OLDEST = (3, 4)
"""The oldest etcd whose gateway speaks /v3 (and not /v3beta)."""

TlsProvider = Callable[[], ssl.SSLContext | None]
"""Gives the context to connect with at this moment: certificates are renewed. None for plain http."""

A = TypeVar("A", bound=msgspec.Struct)


class EtcdClient:
    """Calls to whichever member answers. `cluster_id` is pinned by the first answer, or given.

    `on_failure` is called with the URL of a member that did not answer an attempt.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        tls: TlsProvider,
        clock: Clock,
        *,
        cluster_id: int | None = None,
    ) -> None:
        self.endpoints = Endpoints(endpoints, clock)
        self.cluster_id = cluster_id
        self.foreign: Foreign | None = None
        """Why some member may not be used, when that was the last thing heard of it."""
        self.on_failure: Callable[[str], None] = lambda _url: None
        self._tls = tls
        self._clock = clock
        self._term = 0
        self._checked: set[str] = set()
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections; a later call would open new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def range(
        self, key: bytes, end: bytes | None = None, *, revision: int = 0, limit: int = 0, **more: object
    ) -> Ranged:
        """Read a key, or those up to `end`, as of the newest revision unless told; raises NoQuorum, Compacted."""
        return await self.call("kv/range", get(key, end, revision=revision, limit=limit, **more), Ranged)

    async def txn(
        self, url: str, compare: list[Body], success: list[Body], failure: list[Body], *, seconds: float = ATTEMPT
    ) -> Txn:
        """Try a transaction at one member, once; raises Again, with `sent` when it may have happened.

        It is given up before its time where the leader has changed since: what that was passed is never answered.
        """
        trying = asyncio.create_task(
            self.attempt(
                url, "kv/txn", {"compare": compare, "success": success, "failure": failure}, Txn, seconds=seconds
            )
        )
        succession = asyncio.create_task(next_leader(url, self.endpoints.all, self._term, self._look))
        try:
            await asyncio.wait((trying, succession), return_when=asyncio.FIRST_COMPLETED)
            if trying.done():
                return trying.result()
            if not succession.result():
                self._fail(url)
            raise Again(f"{url}: no answer, and etcd has another leader since", sent=True)
        finally:
            for task in (trying, succession):
                task.cancel()
            await asyncio.gather(trying, succession, return_exceptions=True)

    async def call(
        self, path: str, body: Body, kind: type[A], *, deadline: float = DEADLINE, attempt: float = ATTEMPT
    ) -> A:
        """Ask member after member until one answers; raises NoQuorum after `deadline` seconds.

        For what may be done twice: after InDoubt, it may have been done.
        """
        sent, reason, ends = False, "", self._clock.monotonic() + deadline
        while not reason or await self.another(ends):
            try:
                return await self.attempt(self.endpoints.best, path, body, kind, seconds=attempt)
            except Again as err:
                sent, reason = sent or err.sent, err.reason
        raise (InDoubt if sent else NoQuorum)(self.explain(reason))

    async def another(self, ends: float) -> bool:
        """After a failed attempt: whether there is time for another before monotonic second `ends`."""
        if not self.endpoints.trusted(self.endpoints.best):
            # All have failed; those that refuse at once are not asked in a tight loop.
            await asyncio.sleep(PAUSE)
        return self._clock.monotonic() < ends

    def explain(self, reason: str) -> str:
        """Why nothing can be decided, and what to do, for people."""
        if self.foreign is not None:
            return self.foreign.reason
        return (
            f"cannot reach a quorum of the database's members ({reason}): it goes on by itself when they are back; "
            "if they are gone for good, see `cw-headctl database recover`"
        )

    async def attempt(self, url: str, path: str, body: Body, kind: type[A], *, seconds: float = ATTEMPT) -> A:
        """Ask one member once; raises Again when another may do better, else what the refusal means."""
        sent = False
        try:
            async with asyncio.timeout(seconds):
                await self._check(url)
                sent = True
                content = await self._post(url, path, body)
            answer = msgspec.json.decode(content, type=kind, strict=False)
            if isinstance(answer, Answer):
                self.admit(url, answer.header)
        except Foreign as err:
            self._fail(url)
            raise Again(err.reason, sent=sent) from err
        except Again:
            self._fail(url)
            raise
        except (TimeoutError, OSError, aiohttp.ClientError, msgspec.MsgspecError) as err:
            self._fail(url)
            refused = isinstance(err, aiohttp.ClientConnectorError)
            raise Again(f"{url}: {_told(err)}", sent=sent and not refused) from err
        self.endpoints.answered(url)
        return answer

    async def _post(self, url: str, path: str, body: Body) -> bytes:
        data = msgspec.json.encode(body)
        # Large ones as a file: aiohttp then sends them piece by piece.
        sent = BytesIO(data) if len(data) > _LARGE else data
        async with self.session.post(f"{url}/v3/{path}", data=sent, ssl=self.tls) as response:
            content = await response.read()
            if response.status != 200 or response.content_type != "application/json":
                raise judged(response.status, content)
            return content

    async def _look(self, url: str) -> Status | None:
        """What a member says of itself at once; that it does not is nothing against it."""
        with contextlib.suppress(TimeoutError, OSError, aiohttp.ClientError, msgspec.MsgspecError, Again, AgentError):
            async with asyncio.timeout(LOOK):
                content = await self._post(url, "maintenance/status", {})
            status = msgspec.json.decode(content, type=Status, strict=False)
            if status.leader:
                self.admit(url, status.header)
            return status
        return None

    @contextlib.asynccontextmanager
    async def stream(self, url: str, path: str, body: Body) -> AsyncIterator[AsyncIterator[bytes]]:
        """Chunks of an endless answer from one member; raises Again when it does not begin in time, or breaks off."""
        try:
            async with asyncio.timeout(ATTEMPT) as opening:
                await self._check(url)
                data = msgspec.json.encode(body)
                async with self.session.post(f"{url}/v3/{path}", data=data, ssl=self.tls) as response:
                    if response.status != 200:
                        raise judged(response.status, await response.read())
                    opening.reschedule(None)
                    yield response.content.iter_any()
        except Foreign as err:
            self._fail(url)
            raise Again(err.reason, sent=False) from err
        except (TimeoutError, OSError, aiohttp.ClientError) as err:
            self._fail(url)
            raise Again(f"{url}: {_told(err)}", sent=False) from err

    def admit(self, url: str, header: Header) -> None:
        """Look at an answer's header; raises Foreign for another cluster's, Again for a member left in the past."""
        if not header.cluster_id:
            return
        if self.cluster_id is None:
            self.cluster_id = header.cluster_id
        if header.cluster_id != self.cluster_id:
            self.foreign = Foreign(
                f"the etcd at {url} belongs to another cluster ({header.cluster_id:x}, not {self.cluster_id:x}): "
                "check the endpoints, or whether its data were replaced"
            )
            raise self.foreign
        if header.raft_term < self._term:
            raise Again(f"{url}: its term is {header.raft_term} and {self._term} has been seen", sent=True)
        self._term = header.raft_term
        self.foreign = None

    async def _check(self, url: str) -> None:
        """Before a member is used, and again after it failed: refuse an etcd that is too old."""
        if url in self._checked:
            return
        async with self.session.get(f"{url}/version", ssl=self.tls) as response:
            version = msgspec.json.decode(await response.read(), type=Version).server
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
        if numbers < OLDEST:
            self.foreign = Foreign(f"the etcd at {url} is version {version or 'unknown'}: 3.4 or newer is needed")
            raise self.foreign
        self._checked.add(url)

    def _fail(self, url: str) -> None:
        self._checked.discard(url)
        self.endpoints.failed(url)
        self.on_failure(url)

    @property
    def tls(self) -> ssl.SSLContext | bool:
        """What aiohttp takes for `ssl`: connections made with a former context are not used again."""
        return self._tls() or True

    @property
    def session(self) -> aiohttp.ClientSession:
        """The connections, kept alive between calls."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                # Not `enable_cleanup_closed`: Python 3.11.2 cannot abort a TLS connection that was closed twice.
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60.0),
                timeout=aiohttp.ClientTimeout(),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session


def _told(err: BaseException) -> str:
    """A failed attempt for people."""
    if isinstance(err, TimeoutError):
        return "no answer in time"
    if isinstance(err, AgentError):
        return err.reason
    if isinstance(err, aiohttp.ClientSSLError):  # its errno is OpenSSL's, and none of the system's
        cause = err.certificate_error if isinstance(err, aiohttp.ClientConnectorCertificateError) else err.os_error
        return f"TLS fails: {getattr(cause, 'verify_message', '') or cause}"
    if isinstance(err, aiohttp.ClientConnectorError):
        return os.strerror(err.os_error.errno) if err.os_error.errno else str(err.os_error)
    return str(err) or type(err).__name__
