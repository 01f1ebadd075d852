"""What this machine says of the agent, judged: what only its administrator can see, also while no agent runs. Pure."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from agent import hostfiles
from agent.ctl.finding import Finding

SERVICE, SOCKET = f"{hostfiles.UNIT}.service", f"{hostfiles.UNIT}.socket"
ENGINE = hostfiles.ENGINE_UNIT
UNITS = (SERVICE, SOCKET, ENGINE, "polkit.service", "etcd.service")
PROPERTIES = (
    "Id",
    "LoadState",
    "ActiveState",
    "SubState",
    "Result",
    "ExecMainStatus",
    "NRestarts",
    "UnitFileState",
    "NeedDaemonReload",
)
EX_CONFIG = "78"
GROUP = "clusterware-admin"

Units = Mapping[str, Mapping[str, str]]
"""By unit, what `systemctl show` says of it."""


class SocketSeen(NamedTuple):
    """The operators' socket: its mode, and the name of its group."""

    mode: int
    group: str


def units(told: str) -> dict[str, dict[str, str]]:
    """The output of `systemctl show` of several units, by unit."""
    found = {}
    for block in told.strip().split("\n\n"):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if "Id" in values:
            found[values["Id"]] = values
    return found


def unseen() -> list[Finding]:
    """That systemd did not tell how the units are."""
    todo = "see `systemctl status dbus`; root can ask systemd while the bus is away: run this with sudo"
    return [_warning("units", "systemd", "systemctl does not answer: nothing is known of the agent's units", todo)]


def hangs(found: Sequence[Finding]) -> str | None:
    """What to do about an agent that does not answer; None where one of these findings says so already."""
    if any(one.check in ("agent", "socket", "systemd", "units") and one.level != "ok" for one in found):
        return None
    return f"systemd starts an agent anew that hangs, within a minute; sooner: `systemctl restart {SERVICE}`"


def culprit(seen: Units) -> str:
    """The unit whose errors tell why the agent does not run: its socket where that could not be opened."""
    return SOCKET if _cannot_listen(seen) else SERVICE


def _cannot_listen(seen: Units) -> bool:
    socket = seen.get(SOCKET, {})
    return (socket.get("ActiveState"), socket.get("Result")) == ("failed", "resources")


def service(seen: Units, complaint: str | None, errors: Sequence[str]) -> list[Finding]:
    """How the agent's unit is; `complaint`: what is wrong with its configuration; `errors`: its last lines of error."""
    unit = seen.get(SERVICE, {})
    said = f"; it said last: {errors[-1]}" if errors else ""
    start = f"`systemctl start {SOCKET} {SERVICE}`"
    if unit.get("LoadState") in (None, "not-found"):
        return [_failed("agent", SERVICE, "the unit is not installed", "install the package clusterware-head-agent")]
    if unit.get("LoadState") == "masked":
        todo = f"`systemctl unmask {SERVICE}`, then {start}"
        return [_failed("agent", SERVICE, "the unit is masked: nothing can start it", todo)]
    state, result = unit.get("ActiveState"), unit.get("Result")
    if state == "active":
        return [_enabled(unit)]
    if unit.get("ExecMainStatus") == EX_CONFIG and state != "activating":
        state = "which is still wrong" if complaint else "which is right by now"
        # Connections have started it again and again; the count of them is forgotten with a reload, or in a minute.
        reload = "systemctl daemon-reload && " if seen.get(SOCKET, {}).get("ActiveState") == "failed" else ""
        todo = f"{'mend that, then ' if complaint else ''}`{reload}systemctl restart {SOCKET} {SERVICE}`"
        return [_failed("agent", SERVICE, f"it ended because of its configuration (status 78), {state}", todo)]
    if _cannot_listen(seen):
        todo = f"`ss -ltnp` shows which program has an address of [api] listen; mend that, then {start}"
        return [_failed("agent", SOCKET, f"it cannot listen, so the agent is not started{said}", todo)]
    look = f"`journalctl -u {SERVICE} -p warning -n 50`, then {start}"
    if state in ("activating", "reloading", "deactivating"):
        times = f", restarted {unit['NRestarts']} times" if unit.get("NRestarts", "0") != "0" else ""
        return [_failed("agent", SERVICE, f"it is {state} ({unit.get('SubState')}{times}){said}", look)]
    if state == "failed":
        detail = f"it failed ({result}, status {unit.get('ExecMainStatus')}){said}"
        return [_failed("agent", SERVICE, detail, look)]
    if unit.get("UnitFileState") == "disabled":
        start = start.replace("systemctl start", "systemctl enable --now")
    if complaint:
        start = f"mend the configuration, then `cw-headctl config apply`, then {start}"
    return [_failed("agent", SERVICE, f"it is not running ({state}){said}", start)]


def _enabled(unit: Mapping[str, str]) -> Finding:
    if unit.get("UnitFileState") not in ("enabled", "enabled-runtime"):
        todo = f"`systemctl enable {SOCKET} {SERVICE}`"
        return _warning("agent", SERVICE, "it runs, and will not after the next boot: it is not enabled", todo)
    return Finding("agent", "ok", SERVICE, "it runs, and starts at boot")


def stale_units(seen: Units) -> list[Finding]:
    """Whether systemd has read the unit files as they are now."""
    stale = [name for name in (SERVICE, SOCKET, ENGINE) if seen.get(name, {}).get("NeedDaemonReload") == "yes"]
    if not stale:
        return [Finding("unit files", "ok", "systemd", "it has read them as they are")]
    todo = f"`systemctl daemon-reload`, then `systemctl restart {SERVICE}`"
    return [_warning("unit files", ", ".join(stale), "changed on disk since systemd read them", todo)]


def listening(seen: Units, socket: SocketSeen | None, path: str) -> list[Finding]:
    """Whether operators can come in, and nobody else; None for a socket that is not there."""
    restart = f"`systemctl restart {SOCKET} {SERVICE}` makes it anew"
    if seen.get(SOCKET, {}).get("ActiveState") not in ("active", None):
        return [_failed("socket", SOCKET, "it does not listen", restart)]
    if socket is None:
        return [_failed("socket", path, "it is not there, though the agent's commands come in by it", restart)]
    mode = stat.S_IMODE(socket.mode)
    if mode & 0o007:
        detail = f"everybody on this head may use it (mode {mode:04o}), and so do everything"
        return [_failed("socket", path, detail, restart)]
    if socket.group != GROUP or mode != 0o660:
        detail = f"its mode is {mode:04o} and its group {socket.group}, not 0660 and {GROUP}"
        return [_warning("socket", path, detail, restart)]
    return [Finding("socket", "ok", path, f"open to root and the group {GROUP}")]


def neighbours(seen: Units, *, runs_etcd: bool) -> list[Finding]:
    """What the distribution must bring, and what it must not run; `runs_etcd`: whether the agent runs one itself."""
    found = []
    polkit, without = seen.get("polkit.service", {}), "the agent may not start or stop any service"
    if polkit.get("LoadState") in (None, "not-found"):
        todo = "`apt-get install polkitd`, or `dnf install polkit`"
        found.append(_failed("polkit", "this head", f"polkit is not installed: {without}", todo))
    elif polkit.get("LoadState") == "masked":
        todo = "`systemctl unmask polkit.service`"
        found.append(_failed("polkit", "polkit.service", f"the unit is masked: {without}", todo))
    elif polkit.get("ActiveState") == "failed":
        todo = "`journalctl -u polkit.service -n 20`, then `systemctl restart polkit.service`"
        found.append(_failed("polkit", "polkit.service", f"it failed ({polkit.get('Result')}): {without}", todo))
    else:
        found.append(Finding("polkit", "ok", "this head", "installed"))
    etcd = seen.get("etcd.service", {})
    if etcd.get("ActiveState") == "active" and runs_etcd:
        detail = "the distribution's etcd runs beside the agent's own, and holds nothing of it"
        found.append(_warning("etcd", "etcd.service", detail, "`systemctl mask --now etcd.service`"))
    return found


def key(problem: str | None, path: str) -> list[Finding]:
    """Whether the SSH key can be read that signs tokens; `problem`: why it cannot."""
    if problem is None:
        return [Finding("SSH key", "ok", path, "there; it signs this head's tokens")]
    todo = f"`ssh-keygen -A` makes host keys; or name another in [auth] ssh_key; then `systemctl restart {SERVICE}`"
    return [_failed("SSH key", path, f"cannot be used: {problem}", todo)]


def synchronised(*, answer: bool | None, why: str) -> list[Finding]:
    """Whether the kernel's clock is kept right by something; None when it does not say, `why` then tells."""
    if answer is None:
        return [Finding("time sync", "ok", "this head", f"not known: {why}")]
    if answer:
        return [Finding("time sync", "ok", "this head", "the kernel's clock is synchronised")]
    todo = "`systemctl enable --now chronyd` (chrony on Debian), then `chronyc tracking`"
    return [_warning("time sync", "this head", "nothing keeps this head's clock right", todo)]


def versions(running: str | None, installed: str) -> list[Finding]:
    """Whether the agent that runs is the one that is installed."""
    if running is None or running == installed:
        return []
    detail = f"version {running} runs, and {installed} is installed"
    return [_warning("version", SERVICE, detail, f"`systemctl restart {SERVICE}`")]


def configuration(complaint: str | None, todo: Sequence[str], path: str) -> list[Finding]:
    """Whether the configuration is right, and root's files and the store's directory follow it."""
    if complaint is not None:
        detail = re.sub(r"^:(\d+)", r"line \1", complaint.removeprefix(path)).removeprefix(": ")
        return [_failed("configuration", path, detail, "mend the file; `cw-headctl config check` reads it again")]
    if todo:
        return [_warning("configuration", path, "; ".join(todo), "`cw-headctl config apply`, and what it then says")]
    return [Finding("configuration", "ok", path, "right; root's files follow it")]


def _failed(check: str, subject: str, detail: str, todo: str) -> Finding:
    return Finding(check, "failed", subject, detail, todo)


def _warning(check: str, subject: str, detail: str, todo: str) -> Finding:
    return Finding(check, "warning", subject, detail, todo)
