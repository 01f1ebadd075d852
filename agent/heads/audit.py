"""What the journal keeps of changes to heads: those of keys in a line of their own."""

from __future__ import annotations

import structlog

from agent.heads.keys import ssh_fingerprint
from agent.heads.record import KEYS
from agent.model import Record

log = structlog.get_logger()


def registered(record: Record) -> None:
    """A head has come into the cluster."""
    log.info("Head registered", head_uid=record.uid, ssh_key=ssh_fingerprint(record.body.get("ssh_public", "")))


def changed(before: Record, after: Record) -> None:
    """A head's record is another one than it was."""
    fields = sorted(name for name in {*before.body, *after.body} if before.body.get(name) != after.body.get(name))
    log.info("Head changed", head_uid=after.uid, fields=fields)
    trusted = [name for name in KEYS if name in fields]
    if trusted == ["ca_pem"]:  # as in an exchange of the cluster's CA, in which the head keeps its keys
        log.info("Head CA changed", audit=1, head_uid=after.uid)
    elif trusted:
        log.warning(
            "Head key changed",
            audit=1,
            head_uid=after.uid,
            fields=trusted,
            old_ssh_key=ssh_fingerprint(before.body.get("ssh_public", "")),
            new_ssh_key=ssh_fingerprint(after.body.get("ssh_public", "")),
            todo="whoever holds this key can act for the head: make sure that this was meant",
        )


def removed(record: Record) -> None:
    """A head was taken out of the cluster."""
    log.warning("Head removed", head_uid=record.uid, description=record.body.get("description", ""))
