"""The CAs that the heads' etcd believes, as one text."""

from __future__ import annotations

from agent.adapters.etcd.authorities import bundle
from tests.support.pki import authority


def test_equal_cas_are_an_equal_text_however_they_come() -> None:
    one, other = authority("one").pem, authority("other").pem

    assert bundle([one, other]) == bundle([other + one, one, ""])
    assert bundle([one]) != bundle([one, other])
    assert bundle([one, other]).count("BEGIN CERTIFICATE") == 2


def test_what_is_no_ca_gives_no_trust() -> None:
    ca = authority("one")

    assert bundle([ca.pem, "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]) == bundle(
        [ca.pem]
    )
