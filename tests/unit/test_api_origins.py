"""Whom a connection over TCP counts for."""

from __future__ import annotations

import pytest

from agent.api.accepting import origin


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
        ("fe80::1%eth0", "fe80::2%eth0"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ],
)
def test_who_can_have_both_addresses_counts_as_one(one: str, other: str) -> None:
    assert origin(one) == origin(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:3::1"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2"),
        ("192.0.2.1", "192.0.2.2"),
        ("::1", "::ffff:127.0.0.1"),
        ("fe80::1%eth0", "fe80::1%eth1"),
    ],
)
def test_neighbours_count_each_for_themselves(one: str, other: str) -> None:
    assert origin(one) != origin(other)
