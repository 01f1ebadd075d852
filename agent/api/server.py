"""From bytes to a handler and back: request ids, access, the envelope, logging, for every request alike."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from functools import partial
from itertools import count
from time import monotonic
from typing import Any

import structlog
from aiohttp import web

from agent import errors
from agent.api.access import Gate
from agent.api.call import Answer, Call, Caller, Route
from agent.api.connections import Connection
from agent.api.envelope import bug, failure, success
from agent.api.forward import OPERATOR, forward, operator
from agent.api.links import HEARTBEAT
from agent.api.rooms import Rooms
from agent.api.router import Router
from agent.log import REQUEST_ID

log = structlog.get_logger()

_SANE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_NOT_HTTP = (
    "the request is not HTTP that this agent understands; a line of a header may have 8190 bytes, and there may be 128"
)
SERVER = "clusterware-head-agent"


class Api:
    """Answers every request; `stopping` makes each answer ask its client to connect anew."""

    def __init__(self, rooms: Rooms, gate: Gate, routes: Sequence[Route]) -> None:
        self._rooms = rooms
        self._gate = gate
        self._router = Router(routes)
        self._ids = count(1)
        self._run = secrets.token_hex(4)
        self.stopping = False

    def stop(self) -> None:
        """From now on have every answer ask its client to connect anew, and take no heartbeats."""
        self.stopping = True
        self._rooms.links.close()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, always in the envelope, whatever happens."""
        started = monotonic()
        request_id = self._request_id(request)
        REQUEST_ID.set(request_id)
        caller: Caller | None = None
        after = None
        failed: errors.AgentError | None = None
        try:
            if request.version < (1, 0):
                raise errors.Malformed("this agent speaks HTTP/1.0 and HTTP/1.1", code="bad-http")
            if request.method == "OPTIONS":
                answer = self._options(request)
            else:
                route, params = self._router.find(request.method, request.path)
                admit = partial(self._gate.admit, route, request)
                caller = admit()
                if isinstance(request.protocol, Connection):
                    request.protocol.let_in()
                if request.query_string:
                    _check_query(route, request)
                if "Expect" in request.headers:
                    await _go_ahead(request)
                call = Call(request, self._rooms, caller, request_id, params, admit)
                if (other := self._other_head(request)) is not None:
                    answer, failed = await forward(route, call, other)
                else:
                    answer = await route.handler(call)
            response, after = success(answer) if answer.sent is None else answer.sent, answer.after
        except errors.AgentError as err:
            response, failed = failure(err), err
        except Exception:
            log.exception("Request met a bug", method=request.method, path=request.path[:200])
            response = bug()
        if not response.prepared:
            self._sign(request, response, request_id)
        self._note(request, response.status, failed, caller, monotonic() - started)
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
            self._note(request, response.status, failed, None, 0.0)
        else:
            log.error("Connection met a bug", exc_info=exc)
            response = bug()
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
        if request.method == "GET" and "X-Stale" not in response.headers:
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

    def _note(
        self,
        request: web.BaseRequest,
        status: int,
        failed: errors.AgentError | None,
        caller: Caller | None,
        took: float,
    ) -> None:
        """One line a request: reads at debug; changes, failures and what goes from head to head always."""
        passed_on = caller is not None and (OPERATOR if caller.head else "X-Head") in request.headers
        read = request.method in ("GET", "HEAD", "OPTIONS")
        if status < 400 and read and not passed_on:
            log.debug("Request answered", method=request.method, path=request.path, status=status)
            return
        facts: dict[str, Any] = {
            "method": request.method,
            "path": request.path[:200],
            "status": status,
            "took": round(took, 4),
            **_who(request, caller),
        }
        if failed is not None and (failed.code == "not-ready" or self._mends_itself(request, failed)):
            log.debug("Request refused", **facts, reason=failed.reason)  # probes ask often, and readiness is no change
        elif failed is not None:
            log.warning("Request failed" if status >= 500 else "Request refused", **facts, reason=failed.reason)
        elif status < 400:
            log.info("Request passed on between heads" if read else "Request changed something", **facts)

    def _mends_itself(self, request: web.BaseRequest, failed: errors.AgentError) -> bool:
        """Whether it is a heartbeat's link that may well be taken the next time."""
        return request.path.endswith(HEARTBEAT) and not self._rooms.links.worth_telling(request.remote, failed.reason)


def _check_query(route: Route, request: web.BaseRequest) -> None:
    """Raises Invalid for a parameter that the route does not have: a mistyped ?dry_run=1 must not remove anything."""
    if unknown := sorted(set(request.query) - set(route.parameters)):
        known = f"it has {', '.join(route.parameters)}" if route.parameters else "it has none"
        raise errors.Invalid(f"?{unknown[0][:40]} is not a parameter of this path: {known}", code="unknown-parameter")


def _who(request: web.BaseRequest, caller: Caller | None) -> dict[str, Any]:
    """Who asked, for the audit: token subject and id, head's uid, local user's uid, address; of whom, and for whom."""
    if caller is None:
        return {"peer": request.remote or "local"}
    facts = {
        "peer": caller.address,
        "subject": caller.subject,
        "token_id": caller.token_id,
        "head": caller.head,
        "known_by": caller.known_by,
        "uid": caller.uid,
        "for_head": request.headers.get("X-Head", "")[:64] or None if caller.local else None,
        "on_behalf_of": operator(request.headers.get(OPERATOR)) if caller.head else None,
    }
    return {name: value for name, value in facts.items() if value is not None}


async def _go_ahead(request: web.BaseRequest) -> None:
    """Tell a client that waits for it to send its body; raises Invalid for any other expectation (RFC 9110, 10.1.1)."""
    if request.headers["Expect"].lower() != "100-continue":
        raise errors.Invalid("this agent cannot meet that Expect header: leave it out", code="expectation")
    if request.version >= (1, 1):
        await request.writer.write(_CONTINUE)
