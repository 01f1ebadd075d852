"""What the agent says to any client, said to somebody who has this command: routes become commands."""

from __future__ import annotations

import re

_FOR_ROUTES = (
    (r"`?DELETE /head/(<uid>|\w+)\?force=1`?", r"`cw-headctl heads evict \1 --force`"),
    (r"`?DELETE /head/(<uid>|\w+)`?", r"`cw-headctl heads evict \1`"),
    (r"`?DELETE /heads/down`?", "`cw-headctl heads evict --down`"),
    (r"`?GET /heads`?(?![/\w])", "`cw-headctl heads`"),
    (r"`?GET /head/services`?", "`cw-headctl services`"),
    (r"`?GET /head/files/trash`?", "`cw-headctl files trash`"),
    (r"`?GET /head/files/unused`?", "`cw-headctl files unused`"),
    (r"`?GET /readyz`?", "`cw-headctl doctor`"),
    (r"`?POST /database/clean`?", "`cw-headctl database clean`"),
    (r"`cw-headctl leave` or POST /database/leave", "`cw-headctl leave`"),
    (r"\bservices\[\d+\]: (?=')", ""),
    (r"\bstatus: (?=\S+ takes )", ""),
    (r"\?dry_run=1", "--dry-run"),
    (r"\?force=1", "--force"),
)


def in_commands(reason: str) -> str:
    """A reason with this command's words in the place of routes and their switches."""
    for route, command in _FOR_ROUTES:
        reason = re.sub(route, command, reason)
    return reason
