"""What a head that joins believes of what it is shown."""

from __future__ import annotations

import hashlib

import pytest

from agent.errors import Conflict
from agent.heads.introduction import proven_ca
from tests.support.pki import authority


def test_the_ca_with_the_hash_is_taken_of_all_that_are_shown() -> None:
    one, other = authority(), authority()
    assert proven_ca(one.pem + other.pem, hashlib.sha256(other.der).hexdigest()).strip() == other.pem.strip()


def test_a_wrong_one_is_refused_naming_three_at_most_of_what_was_shown() -> None:
    shown = "-----BEGIN CERTIFICATE-----QUJD-----END CERTIFICATE-----\n"
    digest = hashlib.sha256(b"ABC").hexdigest()
    with pytest.raises(Conflict) as caught:
        proven_ca(shown * 3, "0" * 64)
    assert (caught.value.reason.count(digest), "more" in caught.value.reason) == (3, False)
    with pytest.raises(Conflict) as caught:
        proven_ca(shown * 1000, "0" * 64)
    assert caught.value.reason.count(digest) == 3
    assert "and 997 more" in caught.value.reason
    with pytest.raises(Conflict, match="none could be read"):
        proven_ca("", "0" * 64)
