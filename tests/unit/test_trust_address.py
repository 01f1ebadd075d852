"""Known heads by address: the weak mode, and how little it may give away."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import Denied
from agent.heads.members import Members
from agent.heads.trust import Peer, Recognised, known_head, normalise
from agent.model import Departure, Head, Tombstone
from tests.support.people import ME, OTHER, PEER, head, members

NOW = datetime(2030, 5, 1, tzinfo=UTC)
OWN = ("192.0.2.1", "2001:db8::1")


def from_address(who: Members, address: str, *, here: str = "192.0.2.1") -> Recognised:
    """What the rules say of a peer without a certificate at this address."""
    return known_head(who, ("certificate", "address"), Peer(address, here), OWN, NOW)


def refusal(who: Members, address: str, *, here: str = "192.0.2.1") -> Denied:
    """The refusal."""
    with pytest.raises(Denied) as caught:
        from_address(who, address, here=here)
    return caught.value


@pytest.mark.parametrize(
    ("listed", "address"),
    [
        ("192.0.2.9", "192.0.2.9"),
        ("192.0.2.9", "::ffff:192.0.2.9"),
        ("::ffff:192.0.2.9", "192.0.2.9"),
        ("2001:db8::9", "2001:db8::9"),
        ("2001:0DB8:0::0009", "2001:db8::9"),
        ("fe80::9", "fe80::9%eth0"),
    ],
)
def test_a_record_without_ca_pem_is_recognised_by_an_address_it_lists(listed: str, address: str) -> None:
    found = from_address(members({PEER: head(None, listed)}), address)
    assert (found.head, found.mode) == (PEER, "address")
    assert found.holds(NOW)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1", "loopback"),
        ("127.8.8.8", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("192.0.2.1", "own address"),
        ("::ffff:192.0.2.1", "own address"),
        ("2001:db8::1", "own address"),
        ("192.0.2.77", "in no record"),
        ("not an address", "cannot be read"),
    ],
)
def test_what_proves_nothing_is_refused_even_when_a_record_lists_it(address: str, why: str) -> None:
    listed = (address, "192.0.2.9") if why != "in no record" else ("192.0.2.9",)
    denied = refusal(members({PEER: head(None, *listed)}), address)
    assert denied.code == "not-a-known-head"
    assert "address: " in denied.reason
    assert why in denied.reason


def test_the_far_end_of_a_connection_from_this_head_to_itself_is_this_head() -> None:
    assert (
        "own address"
        in refusal(members({PEER: head(None, "192.0.2.50")}), "192.0.2.50", here="::ffff:192.0.2.50").reason
    )


def test_a_record_with_ca_pem_is_never_recognised_by_address() -> None:
    assert "in no record" in refusal(members({PEER: head("some PEM", "192.0.2.9")}), "192.0.2.9").reason


def test_this_heads_own_record_makes_no_known_head() -> None:
    assert "in no record" in refusal(members(me=head(None, "192.0.2.9")), "192.0.2.9").reason


def test_an_address_of_two_heads_tells_neither() -> None:
    who = members({PEER: head(None, "192.0.2.9"), OTHER: head(None, "::ffff:192.0.2.9")})
    assert "does not tell which one" in refusal(who, "192.0.2.9").reason


@pytest.mark.parametrize("departure", list(Departure))
def test_a_head_known_by_address_is_told_that_it_is_gone(departure: Departure) -> None:
    tombstone = Tombstone(departure=departure, at="2030-01-01T00:00:00.000Z", generation=1, addresses=("192.0.2.9",))
    assert refusal(members(tombstones={PEER: tombstone}), "192.0.2.9").code == departure.value


def test_the_order_of_the_modes_does_not_open_more() -> None:
    who = members({PEER: head(None, "192.0.2.9")})
    for modes in (("address",), ("address", "certificate"), ("certificate", "address")):
        assert known_head(who, modes, Peer("192.0.2.9", "192.0.2.1"), OWN, NOW).head == PEER
    with pytest.raises(Denied, match="certificate: the client sent none"):
        known_head(who, ("certificate",), Peer("192.0.2.9", "192.0.2.1"), OWN, NOW)


_few = st.sampled_from(
    ["192.0.2.1", "192.0.2.8", "192.0.2.9", "::ffff:192.0.2.9", "::1", "127.0.0.1", "2001:db8::9", "x"]
)
_records = st.builds(
    lambda addresses, with_ca: Head(ssh_public="x", ca_pem="PEM" if with_ca else None, addresses=tuple(addresses)),
    st.lists(_few, max_size=3),
    st.booleans(),
)


@given(st.dictionaries(st.sampled_from([ME, PEER, OTHER]), _records), _few, _few)
def test_whoever_is_recognised_is_the_only_head_that_the_address_can_be(
    records: dict[str, Head], address: str, here: str
) -> None:
    try:
        found = from_address(members(records), address, here=here)
    except Denied:
        return
    canonical = normalise(address)
    assert canonical is not None
    assert not ipaddress.ip_address(canonical).is_loopback
    assert canonical not in {*OWN, normalise(here)}
    listing = [
        uid for uid, r in records.items() if uid != ME and not r.ca_pem and canonical in map(normalise, r.addresses)
    ]
    assert listing == [found.head]


@given(st.ip_addresses())
def test_one_address_has_one_form(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    form = normalise(str(address))
    assert form is not None
    assert normalise(form) == form
    if address.version == 4:
        assert normalise(f"::ffff:{address}") == form


@given(st.text(max_size=60))
def test_no_text_breaks_the_reading_of_an_address(text: str) -> None:
    assert normalise(text) is None or normalise(text) == normalise(normalise(text) or "")
