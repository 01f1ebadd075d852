"""The database room over HTTP: check, clean, backups, restore, save and load, leave."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from msgspec import Struct

from agent.api.answers import READS, TURN, WRITES, Answers, together
from agent.api.call import Answer, Call, convert, parse_object, read_body
from agent.database.backups import Backup, Restored
from agent.database.checking import Checked
from agent.database.cleaning import Cleaned, Plan
from agent.database.engines import Migrated, Recovered
from agent.database.loading import Loaded
from agent.database.membership import Left
from agent.database.saved import LoadPlan, Saved
from agent.errors import Conflict, Invalid, NotFound, Stale, Unavailable
from agent.model import Progress
from agent.ports import LARGE


class CleanRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /database/clean; `plan` is the digest that GET answered."""

    plan: str | None = None


class BackupRestore(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /database/restore; `name` as GET /database/backups lists it."""

    name: str


class LoadRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /database/load: what GET /database/records answered, and the digest that a dry run gave."""

    saved: Saved
    plan: str | None = None


_BUSY = {Conflict: ("busy",), Unavailable: ("unavailable", "no-backup")}
PLAN = Answers(data=Plan, fails=READS)
CLEANED = Answers(
    data=Cleaned, fails=together(WRITES, TURN, _BUSY, {Conflict: ("plan-changed",)}), partial=(Plan, Cleaned)
)
LEFT = Answers(
    data=Left,
    fails=together(
        WRITES,
        _BUSY,
        {
            Conflict: ("alone", "never-joined", "quorum", "last"),
            Unavailable: ("no-cluster", "unreachable", "unhealthy"),
        },
    ),
    partial=Any,
)
MIGRATED = Answers(
    data=Migrated,
    fails=together(
        WRITES, _BUSY, {Conflict: ("has-peers", "engine", "occupied", "overtaken"), Unavailable: ("not-the-same",)}
    ),
    partial=Any,
)
RECOVERED = Answers(
    data=Recovered,
    fails=together(WRITES, _BUSY, {Conflict: ("not-etcd", "has-quorum", "adopted"), Unavailable: ("not-the-same",)}),
)
BACKUPS = Answers(data=list[Backup], fails={Unavailable: ("unavailable",)})
BACKED_UP = Answers(data=Backup, status=201, fails=together(READS, _BUSY, {Conflict: ("exists",)}))
RESTORED = Answers(
    data=Restored, fails=together(WRITES, _BUSY, {NotFound: ("no-such-backup",), Conflict: ("overtaken",)})
)

CHECKED = Answers(data=Checked, fails=READS)
SAVED = Answers(data=Saved, fails=READS)
LOADED = Answers(
    data=(LoadPlan, Loaded),
    fails=together(WRITES, _BUSY, {Invalid: ("format",), Conflict: ("plan-changed", "name-taken"), Stale: ("stale",)}),
    partial=LoadPlan,
)
PROGRESS = Answers(data=Progress | None)


async def check(call: Call) -> Answer:
    """Examine everything."""
    return Answer(await call.rooms.checker.check())


async def save(call: Call) -> Answer:
    """All records as one document."""
    saved = await call.rooms.loader.save()
    body = await asyncio.to_thread(msgspec.json.encode, {"success": True, "data": saved})
    return Answer(raw=body)


async def load(call: Call) -> Answer:
    """Load such a document, or tell what that would change."""
    # It is the caller's own machine, and all records are more than one.
    raw = await read_body(call.request, LARGE, "load it in parts, each with some of the records")
    request = await asyncio.to_thread(lambda: convert(parse_object(raw), LoadRequest))
    if call.flag("dry_run"):
        return Answer(await call.rooms.loader.plan(request.saved))
    return Answer(await call.rooms.loader.load(request.saved, request.plan))


async def progress(call: Call) -> Answer:
    """How far the load, the clean or the change of engine has come that is under way; null where none is."""
    rooms = call.rooms
    return Answer(rooms.loader.progress or rooms.cleaner.progress or rooms.engines.progress)


async def plan_clean(call: Call) -> Answer:
    """What a clean would do."""
    return Answer(await call.rooms.cleaner.plan())


async def clean(call: Call) -> Answer:
    """Clean, and tell what was done."""
    request = await call.body_as(CleanRequest, empty=True)
    return Answer(await call.rooms.cleaner.clean(request.plan))


async def leave(call: Call) -> Answer:
    """Leave the cluster."""
    return Answer(await call.rooms.membership.leave())


async def migrate(call: Call) -> Answer:
    """Take this head's records into etcd."""
    return Answer(await call.rooms.engines.migrate())


async def recover(call: Call) -> Answer:
    """Go on alone, after etcd's quorum is gone for good."""
    return Answer(await call.rooms.engines.recover())


async def list_backups(call: Call) -> Answer:
    """The backups, the newest first."""
    return Answer(await call.rooms.backups.listing())


async def make_backup(call: Call) -> Answer:
    """Make a backup now."""
    return Answer(await call.rooms.backups.make(), status=201)


async def restore_backup(call: Call) -> Answer:
    """Put a backup in the database's place."""
    request = await call.body_as(BackupRestore)
    call.about["backup"] = request.name
    return Answer(await call.rooms.backups.restore(request.name))
