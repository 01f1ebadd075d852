"""From bytes to a handler and back: request ids, access, the envelope, logging, for every request alike."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Sequence
from functools import partial
from itertools import count

import structlog
from aiohttp import web

from agent import errors
from agent.api.access import Gate
from agent.api.audit import DENIED, Audit
from agent.api.call import Answer, Call, Caller, Route
from agent.api.connections import Connection
from agent.api.envelope import SERVER, bug, failure, success
from agent.api.forward import forward
from agent.api.rooms import Rooms
from agent.api.router import Router
from agent.log import REQUEST_ID

log = structlog.get_logger()

_SANE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_NOT_HTTP = (
    "the request is not HTTP that this agent understands; its header may have 128 lines of 8190 bytes each, "
    "and 32768 bytes in all"
)


class Api:
    """Answers every request; `stopping` makes each answer ask its client to connect anew."""

    def __init__(self, rooms: Rooms, gate: Gate, routes: Sequence[Route]) -> None:
        self._rooms = rooms
        self._gate = gate
        self._router = Router(routes)
        self._audit = Audit(lambda: rooms.live.config.head.uid, rooms.links)
        self._ids = count(1)
        self._run = secrets.token_hex(4)
        self.traffic = rooms.traffic
        self.stopping = False

    def stop(self) -> None:
        """From now on have every answer ask its client to connect anew, and take no heartbeats and no readers."""
        self.stopping = True
        self._rooms.links.close()
        self._rooms.streams.close()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, always in the envelope, whatever happens."""
        request_id = self._request_id(request)
        REQUEST_ID.set(request_id)
        asked = self._audit.met(request)
        after = None
        failed: errors.AgentError | None = None
        self.traffic.in_flight += 1
        try:
            _check_framing(request)
            if request.method == "OPTIONS":
                answer = self._options(request)
            else:
                route, params = self._router.find(request.method, request.path)
                admit = partial(self._gate.admit, route, request)
                asked.route = route
                caller = admit()
                await self._audit.let_in(asked, caller)
                if _is_known(caller) and isinstance(request.protocol, Connection):
                    request.protocol.let_in(head=caller.head is not None)
                if request.query_string:
                    _check_query(route, request)
                if "Expect" in request.headers:
                    await _go_ahead(request)
                asked.call = call = Call(request, self._rooms, caller, request_id, params, admit)
                if (other := self._other_head(request)) is not None:
                    answer, failed = await forward(route, call, other)
                else:
                    answer = await route.handler(call)
            response, after = success(answer) if answer.sent is None else answer.sent, answer.after
        except errors.AgentError as err:
            response, failed = failure(err), err
            if err.code == "bad-http":  # where the next request begins is not certain
                response.force_close()
        except Exception:  # noqa: BLE001  it is logged, with its traceback
            self._audit.met_bug(asked)
            response = bug()
        except asyncio.CancelledError:
            self._audit.cut_off(asked)
            raise
        finally:
            self.traffic.in_flight -= 1
        self.traffic.note(asked.path, request, response, asked.took, failed)
        if not response.prepared:
            self._sign(request, response, request_id)
        if response.status in DENIED:
            await self._audit.denied(asked, asked.caller or self._gate.met(request))
        self._audit.tell(asked, response.status, failed)
        if after is not None:
            await response.prepare(request)
            await response.write_eof()
            await after()
        return response

    def answer_broken(self, request: web.BaseRequest, status: int, exc: BaseException | None) -> web.StreamResponse:
        """The answer to what never became a request; the connection is closed with it."""
        request_id = self._new_id()
        REQUEST_ID.set(request_id)
        if status < 500:
            failed = errors.Malformed(_NOT_HTTP, code="bad-http")
            response = failure(failed)
            self._audit.tell(self._audit.met(request), response.status, failed)
        else:
            log.error("Connection met a bug", exc_info=exc)
            response = bug()
        self.traffic.note(None, request, response, 0.0)
        self._sign(request, response, request_id)
        response.force_close()
        return response

    def _other_head(self, request: web.BaseRequest) -> str | None:
        """The head that X-Head means, unless it is this one; an answer from the wrong head would mislead."""
        wanted = request.headers.get("X-Head")
        return None if wanted in (None, "self", self._rooms.live.config.head.uid) else wanted

    def _sign(self, request: web.BaseRequest, response: web.StreamResponse, request_id: str) -> None:
        """What every answer carries; X-Stale where it was read from records that may have changed since."""
        response.headers["X-Request-Id"] = request_id
        response.headers["Server"] = SERVER
        if request.method in ("GET", "HEAD") and "X-Stale" not in response.headers:
            age = self._rooms.store_age()
            if age is not None:
                response.headers["X-Stale"] = str(int(age))
        if self.stopping:
            response.force_close()

    def _request_id(self, request: web.BaseRequest) -> str:
        given = request.headers.get("X-Request-Id")
        if given is not None and _SANE_ID.fullmatch(given):
            return given
        return self._new_id()

    def _new_id(self) -> str:
        return f"{self._run}-{next(self._ids):x}"

    def _options(self, request: web.BaseRequest) -> Answer:
        methods = self._router.methods(request.path)
        return Answer({"methods": methods}, headers={"Allow": ", ".join(methods)})


def _check_framing(request: web.BaseRequest) -> None:
    """Raises Malformed for what the parser takes and no two programs need take for the same (RFC 9112, 6.1)."""
    if request.version < (1, 0):
        raise errors.Malformed("this agent speaks HTTP/1.0 and HTTP/1.1", code="bad-http")
    if request.version < (1, 1) and "Transfer-Encoding" in request.headers:
        raise errors.Malformed("HTTP/1.0 has no Transfer-Encoding: send a Content-Length", code="bad-http")


def _is_known(caller: Caller) -> bool:
    """Whether anything was proved of who is behind the connection: a public route proves nothing."""
    return caller.head is not None or caller.subject is not None


def _check_query(route: Route, request: web.BaseRequest) -> None:
    """Raises Invalid for a parameter that the route does not have: a mistyped ?dry_run=1 must not remove anything."""
    if unknown := sorted(set(request.query) - set(route.parameters)):
        known = f"it has {', '.join(route.parameters)}" if route.parameters else "it has none"
        raise errors.Invalid(f"?{unknown[0][:40]} is not a parameter of this path: {known}", code="unknown-parameter")


async def _go_ahead(request: web.BaseRequest) -> None:
    """Tell a client that waits for it to send its body; raises Invalid for any other expectation (RFC 9110, 10.1.1)."""
    if request.headers["Expect"].lower() != "100-continue":
        raise errors.Invalid("this agent cannot meet that Expect header: leave it out", code="expectation")
    if request.version >= (1, 1):
        await request.writer.write(_CONTINUE)
