"""The rows about the configuration and root's files that follow it."""

from __future__ import annotations

from agent.ctl.command import CONFIG, Command, Reach

ROWS: tuple[Command, ...] = (
    Command(
        "config check",
        "config:check",
        "Say whether the configuration is right and root's files follow it",
        Reach.NONE,
        arguments=(CONFIG,),
        degraded="they do not",
        default=True,
    ),
    Command(
        "config apply",
        "config:apply",
        "Write the polkit rule and the units' drop-ins that follow the configuration",
        Reach.NONE,
        arguments=(CONFIG,),
        degraded="something is left to do",
        changes=True,
        root=True,
    ),
)
