"""Known heads by certificate: which certificates count, and what a refusal says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agent.adapters.identity.checks import PeerCertificate
from agent.errors import Denied
from agent.heads.members import Members
from agent.heads.trust import Peer, Recognised, known_head
from agent.model import Departure, Tombstone
from tests.support.people import ME, OTHER, PEER, STRANGER, head, members
from tests.support.pki import Holder, around_now, authority, certificate

NOW = datetime.now(UTC)
CA = authority("the cluster's CA")


def recognise(
    who: Members, shown: Holder | None, *, now: datetime = NOW, modes: tuple[str, ...] = ("certificate", "address")
) -> Recognised:
    """What the rules say of a TCP peer from elsewhere that shows this certificate."""
    read = PeerCertificate.read(shown.der) if shown else None
    return known_head(who, modes, Peer("192.0.2.9", "192.0.2.1", read), (), now)


def refusal(who: Members, shown: Holder | None, *, now: datetime = NOW) -> Denied:
    """The refusal."""
    with pytest.raises(Denied) as caught:
        recognise(who, shown, now=now)
    return caught.value


def gone(departure: Departure, ca_pem: str | None) -> Tombstone:
    """A tombstone."""
    return Tombstone(departure=departure, at="2030-01-01T00:00:00.000Z", generation=1, ca_pem=ca_pem)


def test_a_certificate_issued_by_the_ca_of_the_record_it_names_is_that_head() -> None:
    found = recognise(members({PEER: head(CA.pem)}), certificate(CA, PEER))
    assert (found.head, found.mode) == (PEER, "certificate")


def test_the_pinned_key_is_let_in_in_either_case_of_hex() -> None:
    shown = certificate(CA, PEER)
    for pin in (shown.key_sha256, shown.key_sha256.upper()):
        assert recognise(members({PEER: head(CA.pem, key_sha256=pin)}), shown).head == PEER


def test_any_ca_of_a_record_will_do() -> None:
    second = authority("another CA")
    assert recognise(members({PEER: head(CA.pem + second.pem)}), certificate(second, PEER)).head == PEER


def test_junk_beside_a_ca_in_a_record_does_not_hide_it() -> None:
    junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    assert recognise(members({PEER: head(junk + CA.pem + "more junk")}), certificate(CA, PEER)).head == PEER


def test_an_intermediate_counts_when_the_record_names_it() -> None:
    between = authority("an intermediate", above=CA)
    assert recognise(members({PEER: head(between.pem)}), certificate(between, PEER)).head == PEER


@pytest.mark.parametrize(
    ("why", "shown"),
    [
        ("the client sent none", None),
        ("names none", certificate(CA)),
        ("names none", certificate(CA, uris=["https://example.org/", "urn:clusterware:node:" + PEER])),
        ("names 2", certificate(CA, PEER, OTHER)),
        ("32 lower-case letters and digits", certificate(CA, PEER.upper())),
        ("32 lower-case letters and digits", certificate(CA, PEER + "0")),
        ("32 lower-case letters and digits", certificate(CA, "../" + PEER[3:])),
        ("names this head itself", certificate(CA, ME)),
        ("has no record here", certificate(CA, STRANGER)),
        ("not issued directly", certificate(authority("the cluster's CA"), PEER)),
        ("not issued directly", certificate(authority("an intermediate", above=CA), PEER)),
        ("not the one that the record of head " + PEER + " pins", certificate(CA, PEER)),
        ("has no ca_pem", certificate(CA, OTHER)),
    ],
)
def test_a_wrong_certificate_is_refused_and_the_refusal_says_why(why: str, shown: Holder | None) -> None:
    pin = certificate(CA, PEER).key_sha256
    denied = refusal(members({PEER: head(CA.pem, key_sha256=pin), OTHER: head()}, me=head(CA.pem)), shown)
    assert denied.code == "not-a-known-head"
    assert why in denied.reason
    assert "certificate: " in denied.reason
    assert "address: " in denied.reason


def test_another_heads_ca_cannot_name_this_head() -> None:
    foreign = authority("the CA of the other head")
    who = members({PEER: head(CA.pem), OTHER: head(foreign.pem)})
    assert "not issued directly" in refusal(who, certificate(foreign, PEER)).reason
    assert recognise(who, certificate(foreign, OTHER)).head == OTHER


def test_a_leaf_in_a_record_issues_nothing() -> None:
    leaf = certificate(CA, PEER)
    assert "not issued directly" in refusal(members({PEER: head(leaf.pem)}), certificate(leaf, PEER)).reason


@pytest.mark.parametrize("when", [timedelta(days=2), timedelta(days=-2)])
def test_dates_are_those_of_the_moment_not_of_the_first_look(when: timedelta) -> None:
    who, shown = members({PEER: head(CA.pem)}), certificate(CA, PEER)
    assert recognise(who, shown).holds(NOW)
    assert not recognise(who, shown).holds(NOW + when)
    assert "expired or is not valid yet" in refusal(who, shown, now=NOW + when).reason


def test_an_expired_ca_takes_its_certificates_with_it() -> None:
    short = authority("a short one", valid=around_now(timedelta(days=-9), timedelta(hours=1)))
    who, shown = members({PEER: head(short.pem)}), certificate(short, PEER)
    assert recognise(who, shown).head == PEER
    assert "has expired" in refusal(who, shown, now=NOW + timedelta(hours=2)).reason


def test_of_two_cas_with_one_key_the_one_that_is_valid_counts() -> None:
    old = authority("renewed", valid=around_now(timedelta(days=-9), timedelta(days=-1)))
    shown = certificate(old, PEER)
    assert "has expired" in refusal(members({PEER: head(old.pem)}), shown).reason
    fresh = _same_key(old)
    assert recognise(members({PEER: head(old.pem + fresh.pem)}), shown).head == PEER


def _same_key(old: Holder) -> Holder:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    begins, ends = around_now()
    builder = (
        x509.CertificateBuilder()
        .subject_name(old.certificate.subject)
        .issuer_name(old.certificate.subject)
        .public_key(old.key.public_key())
        .serial_number(7)
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    return Holder(builder.sign(old.key, hashes.SHA256()), old.key)


@pytest.mark.parametrize("departure", list(Departure))
def test_a_head_that_is_gone_is_told_so(departure: Departure) -> None:
    denied = refusal(members(tombstones={PEER: gone(departure, CA.pem)}), certificate(CA, PEER))
    assert denied.code == departure.value
    assert PEER in denied.reason


@pytest.mark.parametrize("ca_pem", [None, authority("the cluster's CA").pem])
def test_who_only_names_a_head_that_is_gone_learns_nothing(ca_pem: str | None) -> None:
    denied = refusal(members(tombstones={PEER: gone(Departure.REMOVED, ca_pem)}), certificate(CA, PEER))
    assert denied.code == "not-a-known-head"


def test_a_head_that_came_back_is_let_in_despite_its_tombstone() -> None:
    who = members({PEER: head(CA.pem)}, {PEER: gone(Departure.LEFT, CA.pem)})
    assert recognise(who, certificate(CA, PEER)).head == PEER


def test_a_mode_that_is_not_configured_is_not_tried() -> None:
    with pytest.raises(Denied) as caught:
        recognise(members({PEER: head(CA.pem)}), certificate(CA, PEER), modes=("address",))
    assert "certificate" not in caught.value.reason.replace("without ca_pem", "")


def test_a_certificate_that_cannot_be_parsed_is_told_apart_from_none() -> None:
    assert PeerCertificate.read(b"\x30\x03junk") is None
    with pytest.raises(Denied, match="cannot be read"):
        known_head(members(), ("certificate",), Peer("192.0.2.9", "192.0.2.1", None, unreadable=True), (), NOW)
