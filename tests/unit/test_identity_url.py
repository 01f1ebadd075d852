"""The URL at which others reach this agent."""

from __future__ import annotations

import pytest

from agent.heads.identity import agent_url

BOTH = ("192.0.2.1", "198.51.100.1", "2001:db8::1")


@pytest.mark.parametrize(
    ("listen", "addresses", "url"),
    [
        (["[::]:52390"], BOTH, "https://192.0.2.1:52390"),
        (["[::]:52390"], ("2001:db8::1",), "https://[2001:db8::1]:52390"),
        (["0.0.0.0:443"], ("2001:db8::1", "192.0.2.1"), "https://192.0.2.1:443"),
        (["0.0.0.0:443"], ("2001:db8::1",), None),
        (["198.51.100.1:52390"], BOTH, "https://198.51.100.1:52390"),
        (["127.0.0.1:52390", "[2001:db8::1]:52391"], BOTH, "https://[2001:db8::1]:52391"),
        (["127.0.0.1:52390", "[::1]:52390"], BOTH, None),
        (["[::]:52390"], (), None),
        ([], BOTH, None),
    ],
)
def test_the_url_is_the_first_that_others_can_use(
    listen: list[str], addresses: tuple[str, ...], url: str | None
) -> None:
    assert agent_url(listen, addresses) == url
