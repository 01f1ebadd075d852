"""The standard verbs on objects: the same seven routes for each kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent.api.answers import READS, WRITES, Answers, Codes, together
from agent.api.call import Access, Answer, Call, Route
from agent.errors import Conflict, NotFound
from agent.model import Record
from agent.records import Records, Spec

FIELDS = Answers(data=dict[str, dict[str, Any]])


@dataclass(frozen=True, slots=True)
class Verbs:
    """The handlers of one kind."""

    spec: Spec
    singular: str
    """The path of one object, without its uid: "/image"."""

    async def all(self, call: Call) -> Answer:
        """GET the plural: every object by uid."""
        return Answer(await self._records(call).all())

    async def create(self, call: Call) -> Answer:
        """POST the plural: a new object; its uid is made here unless one is given."""
        record = await self._records(call).create(await call.body())
        call.about["object"] = record.uid
        headers = {**_etag(record), "Location": f"/api/v1{self.singular}/{record.uid}"}
        return Answer(record.uid, status=201, headers=headers)

    async def read(self, call: Call) -> Answer:
        """GET the singular, by uid or name."""
        return self._single(await self._records(call).get(call.param("uid")))

    async def patch(self, call: Call) -> Answer:
        """PATCH the singular: change some fields; null takes one back to its default."""
        return self._single(
            await self._records(call).patch(call.param("uid"), await call.body(), call.if_match),
        )

    async def replace(self, call: Call) -> Answer:
        """PUT the singular: change all fields."""
        return self._single(
            await self._records(call).replace(call.param("uid"), await call.body(), call.if_match),
        )

    async def delete(self, call: Call) -> Answer:
        """DELETE the singular; the files that it refers to stay where they are."""
        return Answer((await self._records(call).delete(call.param("uid"), call.if_match)).uid)

    async def meta(self, call: Call) -> Answer:
        """GET the plural's meta: the fields, their types, which are required."""
        return Answer(self.spec.described())

    def _records(self, call: Call) -> Records:
        return call.rooms.objects[self.spec.kind]

    def _single(self, record: Record) -> Answer:
        return Answer({record.uid: self.spec.view(record)}, headers=_etag(record))


def _etag(record: Record) -> dict[str, str]:
    return {"ETag": f'"{record.revision}"'}


def routes(spec: Spec, plural: str, singular: str, permission: str) -> tuple[Route, ...]:
    """The rows of one kind; `permission` is what its Read and Write permissions begin with."""
    verbs = Verbs(spec, singular)
    one = singular + "/{uid}"
    token, read, write = Access.TOKEN, f"{permission}Read", f"{permission}Write"
    what = spec.noun
    records: Any = dict[str, spec.shown]  # type: ignore[name-defined]  # a type that is made from the Spec
    missing: Codes = {NotFound: ("not-found",)}
    taken: Codes = {Conflict: ("name-taken", "frozen")}
    listed = Answers(data=records, fails=READS)
    created = Answers(data=str, status=201, etag=True, fails=together(WRITES, taken))
    shown = Answers(data=records, etag=True, fails=together(READS, missing))
    changed = Answers(data=records, etag=True, fails=together(WRITES, missing, taken))
    deleted = Answers(data=str, etag=True, fails=together(WRITES, missing, taken))
    return (
        Route("GET", plural, verbs.all, token, f"List, by uid, whatever is {what}", read, answers=listed),
        Route("POST", plural, verbs.create, token, f"Create {what}", write, body=spec.shape, answers=created),
        Route("GET", f"{plural}/meta", verbs.meta, token, f"The fields of {what}", read, answers=FIELDS),
        Route("GET", one, verbs.read, token, f"Read {what}, by uid or name", read, answers=shown),
        Route(
            "PATCH", one, verbs.patch, token, f"Change some fields of {what}", write, body=spec.partial, answers=changed
        ),
        Route(
            "PUT", one, verbs.replace, token, f"Change all fields of {what}", write, body=spec.shape, answers=changed
        ),
        Route("DELETE", one, verbs.delete, token, f"Delete {what}; stored files stay", write, answers=deleted),
    )
