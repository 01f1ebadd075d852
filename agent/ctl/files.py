"""cw-headctl files."""

from __future__ import annotations

import argparse

from agent.ctl.client import Exit, ask
from agent.ctl.show import as_json, bytes_text, table


def unused(arguments: argparse.Namespace) -> Exit:
    """List the files that nothing refers to."""
    data = ask(arguments.agent, "GET", "/head/files/unused", doing="list the unused files").data
    if arguments.json:
        as_json(data)
    else:
        rows = ([f["filename"], f["kind"], bytes_text(f["size"]), f["modified"], f["reason"]] for f in data)
        table(("file", "kind", "size", "modified", "reason"), rows, "Every file is referred to, in use or too young.")
    return Exit.OK


def trash(arguments: argparse.Namespace) -> Exit:
    """List the removed files that can be restored."""
    data = ask(arguments.agent, "GET", "/head/files/trash", doing="list the trash").data
    if arguments.json:
        as_json(data)
    else:
        rows = ([f["filename"], bytes_text(f["size"]), f["removed"]] for f in data)
        table(("file", "size", "removed"), rows, "The trash is empty.")
    return Exit.OK


def restore(arguments: argparse.Namespace) -> Exit:
    """Bring removed files back; degraded when some could not be."""
    body = {"filenames": arguments.filename}
    reply = ask(arguments.agent, "POST", "/head/files/restore", body, doing="restore the files")
    if arguments.json:
        as_json(reply.envelope)
    else:
        for file in reply.data:
            print(f"Restored {file['filename']}")
        for kept in reply.envelope["kept"]:
            print(f"Not restored: {kept['filename']}: {kept['reason']}")
    return Exit.DEGRADED if reply.envelope["kept"] else Exit.OK
