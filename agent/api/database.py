"""The database room over HTTP: clean, backups, restore, leave."""

from __future__ import annotations

from msgspec import Struct

from agent.api.call import Answer, Call


class CleanRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /database/clean; `plan` is the digest that GET answered."""

    plan: str | None = None


class RestoreRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of POST /database/restore; `name` as GET /database/backups lists it."""

    name: str


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
    request = await call.body_as(RestoreRequest)
    return Answer(await call.rooms.backups.restore(request.name))
