"""This head's own work: services, loops, log lines, root's files, what the agent depends on. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from agent.diagnosis.finding import Finding, failed, ok, warning
from agent.loops import Loop
from agent.model import Service

_UNIT = "clusterware-head-agent"
_NEXT = {
    "systemd": "see `systemctl status dbus`; the agent tries again by itself",
    "database": "see `cw-headctl database check`; make room if its disk is full, restore a backup if it is damaged",
    "database member": f"see `journalctl -u {_UNIT}-etcd`",
    "files": "`cw-headctl config check` there says what the file store's directory needs",
    "certificate": f"see `journalctl -u {_UNIT} -p warning`",
    "cluster": "`cw-headctl token --join` on another head prints how to join again; `cw-headctl leave` goes on alone",
}


def dependencies(problems: Mapping[str, str | None]) -> list[Finding]:
    """What GET /readyz asks, each with its problem or None."""
    return [
        ok(name, "this head", "usable") if problem is None else failed(name, "this head", problem, _next(name, problem))
        for name, problem in problems.items()
    ]


def _next(name: str, problem: str) -> str:
    if name == "database" and "quorum" in problem:
        return "bring the other members back: `cw-headctl heads` shows which heads are down"
    return _NEXT.get(name, f"see `journalctl -u {_UNIT} -p warning`")


def services(rows: Sequence[Service], paused: Collection[str]) -> list[Finding]:
    """Which services are not as they should be; `paused`: units that were started again too often."""
    found = []
    for row in rows:
        if row.status == "up":
            continue
        look = f"see `journalctl -u {row.unit}`"
        if row.unit in paused:
            detail = f"it failed ({row.result}), and healing is paused: it was started again too often"
            todo = f"{look}, mend it, then `cw-headctl services start {row.name}`"
            found.append(failed("services", row.name, detail, todo))
        elif row.enabled in ("enabled", "enabled-runtime"):
            state = f"{row.active_state}, {row.result}" if row.result != "success" else row.active_state
            todo = f"{look}, then `cw-headctl services start {row.name}`, or disable it"
            found.append(failed("services", row.name, f"it is enabled and down ({state})", todo))
        elif row.active_state == "failed":
            todo = f"{look}, then `systemctl reset-failed {row.unit}`"
            found.append(warning("services", row.name, f"it failed ({row.result}), and is not enabled", todo))
    up = sum(row.status == "up" for row in rows)
    return found or [ok("services", "all services", f"{up} of {len(rows)} up; none that is enabled is down")]


def loops(all_loops: Sequence[Loop], now: float) -> list[Finding]:
    """Which loops no longer turn, and which turn and fail; `now` is monotonic."""
    found = []
    for loop in all_loops:
        if loop.stuck(now):
            detail = f"the loop `{loop.name}` has not turned for {now - loop.turned:.0f} s"
            found.append(failed("loops", "this head", detail, "systemd restarts the agent by itself; report this"))
        elif loop.failure is not None:
            todo = f"mend that: the loop `{loop.name}` tries again by itself"
            found.append(warning("loops", "this head", loop.failure, todo))
    return found or [ok("loops", "this head", f"all {len(all_loops)} loops turn")]


def lines(lost: int) -> list[Finding]:
    """How many lines the journal has not taken since the agent began."""
    if not lost:
        return [ok("journal", "this head", "no line was lost")]
    todo = "see `systemctl status systemd-journald`, and how full its disk is: `journalctl --disk-usage`"
    return [warning("journal", "this head", f"{lost} lines were lost: the journal did not keep up", todo)]


def static_files(differing: Sequence[str]) -> list[Finding]:
    """Which of root's files do not follow the configuration, by name."""
    if not differing:
        return [ok("static files", "this head", "the polkit rule and the drop-ins follow the configuration")]
    todo = "run `cw-headctl config apply` there as root, and restart what it names"
    return [warning("static files", "this head", f"these differ from the configuration: {', '.join(differing)}", todo)]
