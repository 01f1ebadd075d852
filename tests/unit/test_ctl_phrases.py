"""Reasons that name routes, as cw-headctl tells them."""

from __future__ import annotations

import pytest

from agent.ctl.phrases import in_commands


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Look at ?dry_run=1 first; ?force=1 insists.", "Look at --dry-run first; --force insists."),
        ("remove it with DELETE /head/a1, then", "remove it with `cw-headctl heads evict a1`, then"),
        ("with DELETE /head/<uid>?force=1.", "with `cw-headctl heads evict <uid> --force`."),
        ("DELETE /heads/down or", "`cw-headctl heads evict --down` or"),
        ("a name that GET /head/services shows", "a name that `cw-headctl services` shows"),
        ("with `cw-headctl leave` or POST /database/leave", "with `cw-headctl leave`"),
        ("see GET /readyz", "see `cw-headctl doctor`"),
        ("cannot start x: services[0]: 'x' is not a service", "cannot start x: 'x' is not a service"),
        ("cannot stop y: status: y takes restart and reload only", "cannot stop y: y takes restart and reload only"),
        ("the disk is full", "the disk is full"),
    ],
)
def test_a_route_becomes_the_command_that_does_the_same(said: str, told: str) -> None:
    assert in_commands(said) == told
