"""The rows about a head's file store."""

from __future__ import annotations

from agent.ctl.command import DRY_RUN, Argument, Command, Reach

ROWS: tuple[Command, ...] = (
    Command("files unused", "files:unused", "List the files that nothing refers to", Reach.HEADS),
    Command(
        "files rm",
        "files:remove",
        "Move the files that nothing refers to into the trash, all of them or those that are named",
        Reach.HEADS,
        plan="files:plan_removal",
        arguments=(
            Argument(
                "filename",
                "a name as `cw-headctl files unused` lists it (default: all)",
                "FILE",
                "*",
                complete="unused",
            ),
            DRY_RUN,
            Argument("--force", "also where so much would go that it looks like a mistake"),
        ),
        degraded="some were kept",
        changes=True,
    ),
    Command("files references", "files:references", "List the filenames that objects refer to", Reach.HEADS),
    Command("files trash", "files:trash", "List the removed files that can be restored", Reach.HEADS),
    Command(
        "files restore",
        "files:restore",
        "Bring removed files back",
        Reach.HEADS,
        arguments=(Argument("filename", "a name as `cw-headctl files trash` lists it", "FILE", "+", complete="trash"),),
        degraded="some were not restored",
        changes=True,
    ),
    Command(
        "files empty-trash",
        "files:empty",
        "Remove everything in the trash for good, to have the space now",
        Reach.HERE,
        plan="files:plan_emptying",
        arguments=(DRY_RUN,),
        changes=True,
    ),
)
