"""The rows about the database and what it holds."""

from __future__ import annotations

from agent.api import database, objects
from agent.api.call import Access, Route
from agent.files.objects import BOOTCONFIGS, IMAGES, REPOS

OBJECTS: tuple[Route, ...] = (
    *objects.routes(IMAGES, "/images", "/image", "Images"),
    *objects.routes(BOOTCONFIGS, "/bootconfigs", "/bootconfig", "BootConfigs"),
    *objects.routes(REPOS, "/repos", "/repo", "Repos"),
)

DATABASE: tuple[Route, ...] = (
    Route(
        "GET",
        "/database/clean",
        database.plan_clean,
        Access.TOKEN,
        "What a clean of the database would do; nothing is changed",
        "HeadsRead",
        answers=database.PLAN,
    ),
    Route(
        "POST",
        "/database/clean",
        database.clean,
        Access.TOKEN,
        "Clean the database: all of the plan, or none of it when it is no longer what was shown",
        "HeadsWrite",
        body=database.CleanRequest,
        bodiless=True,
        answers=database.CLEANED,
    ),
    Route(
        "GET",
        "/database/check",
        database.check,
        Access.LOCAL,
        "Examine the engine, every record and what they refer to; nothing is changed",
        answers=database.CHECKED,
    ),
    Route(
        "GET", "/database/records", database.save, Access.LOCAL, "All records as one document", answers=database.SAVED
    ),
    Route(
        "POST",
        "/database/load",
        database.load,
        Access.ROOT,
        "Add and change objects as such a document has them, behind a backup; none is removed, and no head is touched",
        body=database.LoadRequest,
        switches=("dry_run",),
        answers=database.LOADED,
    ),
    Route(
        "GET",
        "/database/progress",
        database.progress,
        Access.LOCAL,
        "How far a load, a clean or a change of engine has come that is under way",
        answers=database.PROGRESS,
    ),
    Route(
        "POST",
        "/database/leave",
        database.leave,
        Access.KNOWN_HEAD,
        "Have this head leave its cluster",
        answers=database.LEFT,
    ),
    Route(
        "POST",
        "/database/migrate",
        database.migrate,
        Access.ROOT,
        "Take a single head's records from SQLite into an etcd that the agent runs; a backup is written first",
        answers=database.MIGRATED,
    ),
    Route(
        "POST",
        "/database/recover",
        database.recover,
        Access.ROOT,
        "Make this head the only member of a new etcd, after the quorum is gone for good; a backup is written first",
        answers=database.RECOVERED,
    ),
    Route(
        "GET",
        "/database/backups",
        database.list_backups,
        Access.LOCAL,
        "The backups, the newest first",
        answers=database.BACKUPS,
    ),
    Route(
        "POST", "/database/backups", database.make_backup, Access.LOCAL, "Make a backup now", answers=database.BACKED_UP
    ),
    Route(
        "POST",
        "/database/restore",
        database.restore_backup,
        Access.ROOT,
        "Put a backup in the database's place, which may be damaged; the former database is moved aside",
        body=database.BackupRestore,
        answers=database.RESTORED,
    ),
)
