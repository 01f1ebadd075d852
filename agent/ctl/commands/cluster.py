"""The rows about coming into a cluster and out of it, and what proves who belongs to it."""

from __future__ import annotations

from agent.ctl.command import Argument, Command, Reach

ROWS: tuple[Command, ...] = (
    Command(
        "join",
        "join:join",
        "Have this head join a cluster; see `cw-headctl token --join`",
        Reach.HERE,
        arguments=(
            Argument("url", "where a head of the cluster answers, as https://10.0.0.1:52390", "URL"),
            Argument(
                "--token",
                "a token of the cluster; every user of this head can see it in the process list",
                "TOKEN",
            ),
            Argument("--ca-sha256", "the SHA-256 of the cluster's CA", "HASH", required=True),
            Argument("--force", "give up this head's own objects for those of a shared database"),
        ),
        changes=True,
        root=True,
    ),
    Command(
        "leave",
        "join:leave",
        "Have a head leave its cluster and go on alone",
        Reach.HEADS,
        plan="join:plan_leave",
        alone=True,
        changes=True,
    ),
    Command(
        "token",
        "tokens:make",
        "Make a token for the API, printed on standard output",
        Reach.HERE,
        arguments=(
            Argument("--lifespan", "how long it is valid, such as 30min, 12h or 7d", "TIME"),
            Argument("--permissions", "for example HeadsRead,ImagesWrite", "A,B", apart=True),
            Argument(
                "--join",
                "print the whole command that has another head join, with a token for 1h",
                apart=True,
            ),
            Argument("--subject", "whom it is for; stands in the audit lines (default: root)", "NAME"),
        ),
        changes=True,
        root=True,
    ),
    Command(
        "ca show",
        "authority:show",
        "Which CAs a head believes",
        Reach.HEADS,
        degraded="they are being exchanged",
        default=True,
    ),
    Command(
        "ca rotate",
        "authority:rotate",
        "Exchange the CA on all heads, for example after a head was compromised and removed",
        Reach.HERE,
        plan="authority:plan_rotation",
        changes=True,
        root=True,
    ),
)
