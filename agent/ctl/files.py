"""cw-headctl files."""

from __future__ import annotations

import argparse
from typing import Any

from agent.ctl.client import Reply, ask
from agent.ctl.outcome import Exit, Failure, Outcome, Plan
from agent.ctl.progress import FILES, progress
from agent.ctl.show import bytes_text, count

_COLUMNS = ("file", "kind", "size", "modified", "reason")


def unused(arguments: argparse.Namespace) -> Outcome:
    """List the files that nothing refers to."""
    data = ask(
        arguments.agent,
        "GET",
        "/head/files/unused",
        doing="list the unused files",
        progress=progress(arguments.agent, FILES),
    ).data
    lines = [f"{_amount(data)}."] if data else []
    return Outcome(data, _COLUMNS, _rows(data), "Every file is referred to, in use or too young.", lines)


def references(arguments: argparse.Namespace) -> Outcome:
    """List the filenames that objects refer to."""
    data = ask(arguments.agent, "GET", "/head/files/references", doing="list the references").data
    return Outcome(data, ("file",), [(name,) for name in data], "No object refers to any file.")


def trash(arguments: argparse.Namespace) -> Outcome:
    """List the removed files that can be restored."""
    data = _trash(arguments)
    rows = [(file["filename"], bytes_text(file["size"]), file["removed"]) for file in data]
    lines = [f"{_amount(data)}."] if data else []
    return Outcome(data, ("file", "size", "removed"), rows, "The trash is empty.", lines)


def plan_removal(arguments: argparse.Namespace) -> Plan | Outcome:
    """Which of the unused files, or of those that are named, would go to the trash; nothing to do when none would."""
    reply = _remove(arguments, "?dry_run=1")
    kept = reply.envelope.get("kept", [])
    data = {"removed": reply.data, "kept": kept}
    if not reply.data:
        return _removed(arguments, reply)
    lines = [*_kept(arguments, kept), f"{_amount(reply.data)} would go to the trash of {arguments.agent.where}."]
    doubt = reply.envelope.get("meta", {}).get("refused")
    if doubt and not arguments.force:
        if not arguments.dry_run:
            raise Failure(f"cannot {_doing(arguments)}: {doubt} Look at --dry-run first; --force insists.")
        data["refused"] = doubt
        lines.append(f"It would be refused without --force: {doubt}")
    return Plan(_doing(arguments), data, lines, _COLUMNS, _rows(reply.data))


def remove(arguments: argparse.Namespace) -> Outcome:
    """Move the unused files, or those that are named, to the trash; degraded when some were kept."""
    return _removed(arguments, _remove(arguments, "?force=1" if arguments.force else ""))


def restore(arguments: argparse.Namespace) -> Outcome:
    """Bring removed files back; degraded when some could not be."""
    body = {"filenames": arguments.filename}
    reply = ask(arguments.agent, "POST", "/head/files/restore", body, doing="restore the files")
    kept = reply.envelope["kept"]
    lines = [f"Restored {file['filename']}" for file in reply.data]
    lines += [f"Not restored: {file['filename']}: {file['reason']}" for file in kept]
    return Outcome({"restored": reply.data, "kept": kept}, lines=lines, exit=Exit.DEGRADED if kept else Exit.OK)


def plan_emptying(arguments: argparse.Namespace) -> Plan | Outcome:
    """What is in the trash."""
    data = _trash(arguments)
    if not data:
        return Outcome({"removed": []}, lines=["The trash is empty."])
    rows = [(file["filename"], bytes_text(file["size"]), file["removed"]) for file in data]
    lines = [f"{_amount(data)} would be removed for good: nobody can restore them."]
    return Plan("empty the trash", {"removed": data}, lines, ("file", "size", "removed"), rows, word="empty")


def empty(arguments: argparse.Namespace) -> Outcome:
    """Remove everything in the trash for good."""
    reply = ask(arguments.agent, "DELETE", "/head/files/trash", doing="empty the trash")
    lines = [f"Removed for good: {_amount(reply.data)}."]
    lines += [f"Not removed: {file['filename']}: {file['reason']}" for file in reply.envelope["kept"]]
    return Outcome({"removed": reply.data}, lines=lines)


def _trash(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    data = ask(arguments.agent, "GET", "/head/files/trash", doing="list the trash").data
    if not isinstance(data, list):
        raise Failure("cannot list the trash: the agent's answer is no list")
    return data


def _doing(arguments: argparse.Namespace) -> str:
    return f"remove {count(len(arguments.filename), 'file')}" if arguments.filename else "remove the unused files"


def _remove(arguments: argparse.Namespace, query: str) -> Reply:
    agent, doing = arguments.agent, _doing(arguments)
    look = progress(agent, FILES)
    if not arguments.filename:
        return ask(agent, "DELETE", f"/head/files/unused{query}", doing=doing, progress=look)
    body = {"filenames": arguments.filename}
    return ask(agent, "POST", f"/head/files/remove{query}", body, doing=doing, progress=look)


def _removed(arguments: argparse.Namespace, reply: Reply) -> Outcome:
    kept = reply.envelope.get("kept", [])
    lines = [f"Removed {file['filename']}, {bytes_text(file['size'])}" for file in reply.data]
    lines += _kept(arguments, kept)
    if reply.data:
        lines.append(f"In the trash: {_amount(reply.data)}; `cw-headctl files restore FILE` brings one back.")
        lines.append("The space is free once they have gone from there: `cw-headctl files empty-trash`.")
    elif not kept:
        lines.append("Nothing to remove: every file is referred to, in use or too young.")
    data = {"removed": reply.data, "kept": kept}
    return Outcome(data, lines=lines, exit=Exit.DEGRADED if kept else Exit.OK)


def _kept(arguments: argparse.Namespace, files: list[dict[str, Any]]) -> list[str]:
    """Why some were not removed; one that was named may never have been there to be kept."""
    said = "Not removed:" if arguments.filename else "Kept"
    return [f"{said} {file['filename']}: {file['reason']}" for file in files]


def _rows(files: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [(f["filename"], f["kind"], bytes_text(f["size"]), f["modified"], f["reason"]) for f in files]


def _amount(files: list[dict[str, Any]]) -> str:
    return f"{count(len(files), 'file')}, {bytes_text(sum(file['size'] for file in files))}"
