"""The rows about the database."""

from __future__ import annotations

from agent.ctl.command import DRY_RUN, Argument, Command, Reach

ROWS: tuple[Command, ...] = (
    Command(
        "database clean",
        "database:clean",
        "Remove what is left of heads, uploads and old backups, and tidy the engine, behind a backup",
        Reach.TOKEN,
        plan="database:plan_clean",
        arguments=(DRY_RUN,),
        degraded="some of it was skipped",
        changes=True,
    ),
    Command(
        "database check",
        "database:check",
        "Examine the engine, every record and what they refer to",
        Reach.HERE,
        degraded="anything is found",
    ),
    Command(
        "database save",
        "records:save",
        "Write all records to a file",
        Reach.HERE,
        arguments=(
            Argument("file", "where to, - for standard output", "FILE", complete="file"),
            Argument("--force", "also over a file that is there"),
        ),
    ),
    Command(
        "database load",
        "records:load",
        "Add and change objects as such a file has them, behind a backup; none is removed",
        Reach.HERE,
        plan="records:plan_load",
        arguments=(
            Argument("file", "what `database save` wrote, - for standard input", "FILE", complete="file"),
            DRY_RUN,
        ),
        changes=True,
        root=True,
    ),
    Command("database backups", "database:backups", "List the backups, the newest first", Reach.HERE),
    Command("database backup", "database:backup", "Make a backup now", Reach.HERE, changes=True),
    Command(
        "database migrate",
        "database:migrate",
        "Take a single head's records from SQLite to etcd",
        Reach.HERE,
        plan="database:plan_migration",
        changes=True,
        root=True,
    ),
    Command(
        "database recover",
        "database:recover",
        "Go on with this head alone, after etcd's quorum is gone for good",
        Reach.HERE,
        plan="database:plan_recovery",
        changes=True,
        root=True,
    ),
    Command(
        "database restore",
        "database:restore",
        "Put a backup in the database's place",
        Reach.HERE,
        plan="database:plan_restore",
        arguments=(Argument("name", "a name as `cw-headctl database backups` lists it", "NAME", complete="backups"),),
        changes=True,
        root=True,
    ),
)
