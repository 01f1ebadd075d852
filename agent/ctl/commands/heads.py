"""The rows about the heads of the cluster."""

from __future__ import annotations

from agent.ctl.command import DRY_RUN, Argument, Command, Reach

_UID = Argument("uid", "which head", "UID", "?", "self", complete="heads")

ROWS: tuple[Command, ...] = (
    Command(
        "heads ls",
        "heads:listing",
        "List the heads, the worst state first",
        Reach.TOKEN,
        degraded="one is not up",
        default=True,
    ),
    Command(
        "heads show",
        "heads:show",
        "Show all that is known of a head",
        Reach.TOKEN,
        arguments=(_UID._replace(help="which head (default: this one)"),),
        degraded="it is not up",
    ),
    Command(
        "heads down",
        "heads:down",
        "List the heads that are down, and those of which nobody knows",
        Reach.TOKEN,
        degraded="there is one",
    ),
    Command(
        "heads evict",
        "heads:evict",
        "Remove a head that is gone for good, or all that are down",
        Reach.TOKEN,
        arguments=(
            _UID._replace(help="remove this head, whatever its state is", default=None, apart=True),
            Argument("--down", "remove all heads that are down, and no other", apart=True),
            DRY_RUN,
            Argument("--force", "with UID: also when this head hears too few of the others"),
        ),
        plan="heads:plan_eviction",
        alone=True,
        degraded="one that is down was kept",
        changes=True,
    ),
)
