"""One line of the journal for each request worth telling of; those with AUDIT=1 are the audit.

That is every attempt to change something, however it ended, and every request that was denied. Who asked goes to the
lines that the rooms themselves mark for the audit too: of keys and tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from time import monotonic
from typing import Any

import structlog
from aiohttp import web

from agent import errors
from agent.api.call import Call, Caller, Route
from agent.api.forward import OPERATOR, operator
from agent.api.links import HEARTBEAT, Links
from agent.api.names import UserNames
from agent.heads.trust import normalise
from agent.log import CALLER

log = structlog.get_logger()

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
DENIED = frozenset({401, 403})
"""The statuses of answers to those who may not."""


@dataclass(slots=True)
class Asked:
    """A request, as far as it has come."""

    request: web.BaseRequest
    started: float
    route: Route | None = None
    caller: Caller | None = None
    call: Call | None = None

    @property
    def path(self) -> str | None:
        """The route's path, None where there is no such route."""
        return self.route.path if self.route is not None else None

    @property
    def took(self) -> float:
        """Seconds since it came."""
        return monotonic() - self.started

    @property
    def changes(self) -> bool:
        """Whether it would change something."""
        if self.route is None:
            return False
        dry = "dry_run" in self.route.switches and self.request.query.get("dry_run", "0").lower() in ("1", "true")
        return self.route.method not in _SAFE and not self.route.reads and not dry

    @property
    def for_head(self) -> str | None:
        """The head that an operator here means, be it this one."""
        if self.caller is None or not self.caller.local:
            return None
        return self.request.headers.get("X-Head")

    @property
    def by_operator(self) -> bool:
        """Whether another head asks for an operator there."""
        return self.caller is not None and self.caller.head is not None and OPERATOR in self.request.headers


class Audit:
    """Says in the journal who asked for what, from where, and how it ended."""

    def __init__(self, own_uid: Callable[[], str], links: Links) -> None:
        self._own_uid = own_uid
        self._links = links
        self._names = UserNames()

    def met(self, request: web.BaseRequest) -> Asked:
        """A request has come; of who asks nothing is proved yet."""
        CALLER.set({"peer": _address(request.remote)})
        return Asked(request, monotonic())

    async def let_in(self, asked: Asked, caller: Caller) -> None:
        """It is known who asks."""
        asked.caller = caller
        await self._call(asked, caller, named=asked.changes)

    async def denied(self, asked: Asked, caller: Caller | None) -> None:
        """Whoever asks may not: on the Unix socket the kernel says who it is."""
        if caller is not None and caller.local:
            await self._call(asked, caller, named=True)

    async def _call(self, asked: Asked, caller: Caller, *, named: bool) -> None:
        """Have all lines of this request tell who asks; by its name where a line is certain to come."""
        user = await self._names.of(caller.uid) if named and caller.uid is not None else None
        CALLER.set(_who(asked.request, caller, user))

    def tell(self, asked: Asked, status: int, failed: errors.AgentError | None) -> None:
        """The request is answered: changes, failures and what goes from head to head are told, reads at debug."""
        passed_on = asked.by_operator or asked.for_head not in (None, "self", self._own_uid())
        if status < 400 and not asked.changes and not passed_on:
            log.debug("Request answered", method=asked.request.method, path=asked.request.path[:200], status=status)
            return
        facts = self.facts(asked, status)
        if failed is not None and (failed.code == "not-ready" or self._mends_itself(asked.request, failed)):
            facts.pop("audit", None)  # probes ask often, and a head that comes back may be refused at first
            log.debug("Request refused", **facts, reason=failed.reason)
        elif failed is not None:
            log.warning(
                "Request failed" if status >= 500 else "Request refused",
                **facts,
                code=failed.code,
                reason=failed.reason,
            )
        elif status < 400:
            log.info("Request changed something" if asked.changes else "Request passed on between heads", **facts)

    def met_bug(self, asked: Asked) -> None:
        """Answering it raised what is no error of ours; to be called where that is handled."""
        log.exception("Request met a bug", **self.facts(asked, 500))

    def cut_off(self, asked: Asked) -> None:
        """The agent stopped before it was done; what it had changed until then is changed."""
        if asked.changes:
            log.warning("Request cut off", **self.facts(asked, None))

    def facts(self, asked: Asked, status: int | None) -> dict[str, Any]:
        """What a line tells of a request; `status` is None where there is no answer."""
        request = asked.request
        audited = asked.route is not None and (asked.changes or status in DENIED)
        return {
            **({"audit": 1} if audited else {}),
            "method": request.method,
            "route": asked.path,
            "path": request.path[:200],
            **self._what(asked),
            "status": status,
            "result": _result(status),
            "took": round(asked.took, 4),
            **CALLER.get(),
        }

    def _what(self, asked: Asked) -> dict[str, Any]:
        """The head, the object, the units or files that it is about, as far as that is known."""
        about: dict[str, Any] = {}
        if (head := asked.for_head) is not None:
            about["head_uid"] = self._named(head)
        if asked.call is not None:
            if (uid := asked.call.params.get("uid")) is not None and asked.route is not None:
                about["head_uid" if asked.route.path.startswith("/head/") else "object"] = self._named(uid)
            about |= asked.call.about
        return about

    def _named(self, uid: str) -> str:
        return self._own_uid() if uid == "self" else uid[:200]

    def _mends_itself(self, request: web.BaseRequest, failed: errors.AgentError) -> bool:
        """Whether it is a heartbeat's link that may well be taken the next time."""
        return request.path.endswith(HEARTBEAT) and not self._links.worth_telling(request.remote, failed.reason)


@lru_cache(1024)
def _address(remote: str | None) -> str:
    """Where a request comes from, an address always written in one way; kept, since each request asks for it."""
    return (normalise(remote) if remote else None) or "local"


def _result(status: int | None) -> str:
    """How it ended, in one word."""
    if status is None:
        return "unfinished"
    if status < 400:
        return "done"
    if status in DENIED:
        return "denied"
    return "refused" if status < 500 else "failed"


def _who(request: web.BaseRequest, caller: Caller, user: str | None) -> dict[str, Any]:
    """Who asked, as far as it was proved, and from where; on whose behalf is what the other head says."""
    facts = {
        "peer": caller.head or caller.address,
        "address": caller.address if caller.head else None,
        "known_by": caller.known_by,
        "subject": caller.subject,
        "token_id": caller.token_id,
        "local_uid": caller.uid,
        "local_user": user,
        "on_behalf_of": operator(request.headers.get(OPERATOR)) if caller.head else None,
    }
    return {name: value for name, value in facts.items() if value is not None}
