"""Tokens: which are good, and that none of the known attacks is."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from agent.adapters.identity.tokens import JwtVerifier
from agent.errors import Unauthenticated
from agent.heads.members import Members
from agent.heads.tokens import MAX_BYTES, Claims
from agent.model import Departure, Tombstone
from tests.support.people import CLUSTER, ME, OTHER, STRANGER, head, members
from tests.support.ssh import pair, segment, signed

NOW = datetime(2030, 5, 1, 12, tzinfo=UTC)
AT = int(NOW.timestamp())
ED, OTHER_ED = pair("ed25519"), pair("ed25519", 1)
ED_KEY = cast("Ed25519PrivateKey", ED.key)
WHO = members({OTHER: head(ssh_public=OTHER_ED.public)}, me=head(ssh_public=ED.public))


def payload(**changes: Any) -> dict[str, Any]:
    """A good payload with changes; None takes a claim out."""
    good = {"iss": ME, "sub": "alice", "perms": ["HeadsRead"], "aud": CLUSTER, "iat": AT, "exp": AT + 3600} | changes
    return {name: value for name, value in good.items() if value is not None}


def verify(token: str, who: Members = WHO, now: datetime = NOW) -> Claims:
    """A fresh verifier's word."""
    return JwtVerifier().verify(token, who, now)


def refusal(token: str, who: Members = WHO, now: datetime = NOW) -> str:
    """Why it is refused."""
    with pytest.raises(Unauthenticated) as caught:
        verify(token, who, now)
    return caught.value.reason


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [("ed25519", "EdDSA"), ("rsa2048", "RS256"), ("p256", "ES256"), ("p384", "ES384"), ("p521", "ES512")],
)
def test_each_kind_of_ssh_key_checks_tokens_by_its_own_algorithm(kind: str, algorithm: str) -> None:
    key = pair(kind)
    claims = verify(signed(payload(jti="17"), key.key, algorithm), members(me=head(ssh_public=key.public)))
    assert claims.issuer == ME
    assert claims.subject == "alice"
    assert claims.permissions == {"HeadsRead"}
    assert claims.expires == NOW + timedelta(hours=1)
    assert claims.token_id == "17"


def test_another_heads_token_is_as_good_as_ones_own() -> None:
    assert verify(signed(payload(iss=OTHER), OTHER_ED.key, "EdDSA")).issuer == OTHER


@pytest.mark.parametrize(
    ("why", "changes"),
    [
        ("(aud)", {"aud": "d" * 32}),
        ("(aud)", {"aud": None}),
        ("(aud)", {"aud": [CLUSTER, "d" * 32]}),
        ("(exp)", {"exp": None}),
        ("exp is not a time", {"exp": "tomorrow"}),
        ("exp is not a time", {"exp": True}),
        ("exp is not a time", {"exp": float("nan")}),
        ("exp is not a time", {"exp": float("inf")}),
        ("exp is not a time", {"exp": 10**30}),
        ("exp is not a time", {"exp": -1}),
        ("exp is not a time", {"exp": [AT]}),
        ("has expired", {"exp": AT - 60}),
        ("not good yet", {"nbf": AT + 61}),
        ("not good yet", {"iat": AT + 61}),
        ("(sub)", {"sub": None}),
        ("(sub)", {"sub": ""}),
        ("(sub)", {"sub": 7}),
        ("(sub)", {"sub": "two\nlines"}),
        ("(sub)", {"sub": "x" * 129}),
        ("(perms)", {"perms": None}),
        ("(perms)", {"perms": "HeadsRead"}),
        ("(perms)", {"perms": ["HeadsRead", 1]}),
        ("(iss)", {"iss": None}),
        ("(iss)", {"iss": 5}),
        ("(iss)", {"iss": "short"}),
        ("no head of this cluster", {"iss": STRANGER}),
        ("not that of the head that it names", {"iss": OTHER}),
    ],
)
def test_wrong_claims_are_refused_and_the_refusal_says_which(why: str, changes: dict[str, Any]) -> None:
    body = payload(**changes)
    head_and_body = f"{segment({'alg': 'EdDSA', 'typ': 'JWT'})}.{segment(body)}"
    token = f"{head_and_body}.{segment(ED_KEY.sign(head_and_body.encode()))}"
    assert why in refusal(token)


@pytest.mark.parametrize("changes", [{"exp": AT - 59}, {"nbf": AT + 60}, {"iat": AT + 60}, {"exp": AT + 0.5}])
def test_clocks_may_differ_by_a_minute(changes: dict[str, Any]) -> None:
    assert verify(signed(payload(**changes), ED.key, "EdDSA")).subject == "alice"


def _hs256(secret: bytes, headers: dict[str, Any] | None = None) -> str:
    """By hand: PyJWT refuses to make the confusion attack's token."""
    start = f"{segment({'alg': 'HS256', 'typ': 'JWT', **(headers or {})})}.{segment(payload())}"
    return f"{start}.{segment(hmac.digest(secret, start.encode(), hashlib.sha256))}"


def _forged(headers: dict[str, Any], signature: str = "") -> str:
    return f"{segment(headers)}.{segment(payload())}.{signature}"


def _good() -> str:
    return signed(payload(), ED.key, "EdDSA")


LONG_NUMBER = b'{"exp":' + b"9" * 5000 + b"}"

ATTACKS: dict[str, Callable[[], str]] = {
    "alg none": lambda: _forged({"alg": "none"}),
    "alg None in other case": lambda: _forged({"alg": "NoNe"}),
    "alg none with a signature": lambda: _forged({"alg": "none"}, _good().rsplit(".", 1)[1]),
    "no alg": lambda: _forged({"typ": "JWT"}),
    "alg as list": lambda: _forged({"alg": ["EdDSA"]}),
    "HS256 with the public key's line": lambda: _hs256(ED.public.encode()),
    "HS256 with the public key's bytes": lambda: _hs256(ED_KEY.public_key().public_bytes_raw()),
    "HS256 with nothing": lambda: _hs256(b""),
    "HS256 with a kid that names a file": lambda: _hs256(b"", {"kid": "/dev/null"}),
    "another head's key": lambda: signed(payload(), OTHER_ED.key, "EdDSA"),
    "another head's key and its kid": lambda: signed(payload(), OTHER_ED.key, "EdDSA", {"kid": OTHER}),
    "a key of its own in the header": lambda: signed(
        payload(), OTHER_ED.key, "EdDSA", {"jwk": {"kty": "OKP"}, "jku": "https://192.0.2.1/"}
    ),
    "another type of key": lambda: signed(payload(), pair("p256").key, "ES256"),
    "signature cut off": lambda: _good().rsplit(".", 1)[0] + ".",
    "signature of zeros": lambda: f"{_good().rsplit('.', 1)[0]}.{segment(bytes(64))}",
    "body exchanged": lambda: ".".join(
        [(parts := _good().split("."))[0], segment(payload(perms=["HeadsWrite"])), parts[2]]
    ),
    "critical extension": lambda: signed(payload(), ED.key, "EdDSA", {"crit": ["b64"], "b64": True}),
    "detached payload": lambda: f"{segment({'alg': 'EdDSA', 'b64': False, 'crit': ['b64']})}..{segment(bytes(64))}",
    "nested without end": lambda: f"{segment({'alg': 'EdDSA'})}.{segment(b'[' * 5000)}.AAAA",
    "header nested without end": lambda: f"{segment(b'[' * 5000)}.{segment(payload())}.AAAA",
    "digits without end": lambda: f"{segment({'alg': 'EdDSA'})}.{segment(LONG_NUMBER)}.AAAA",
    "a list": lambda: f"{segment({'alg': 'EdDSA'})}.{segment([1])}.AAAA",
    "five parts": lambda: "a.b.c.d.e",
    "empty parts": lambda: "..",
    "nothing": lambda: "",
    "no JWT": lambda: "hello",
    "not ASCII": lambda: "tökén.é.ü",
    "half a surrogate": lambda: "a\udcff.b.c",
    "huge": lambda: _good() + "A" * MAX_BYTES,
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_attack_gets_through(attack: str) -> None:
    assert refusal(ATTACKS[attack]())


def test_an_unknown_kid_changes_nothing_on_a_good_token() -> None:
    assert verify(signed(payload(), ED.key, "EdDSA", {"kid": "whatever"})).subject == "alice"


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_garbage_is_refused_and_nothing_else_happens(garbage: str) -> None:
    assert refusal(garbage)


@given(st.integers(0, 500), st.integers(1, 255))
def test_no_changed_byte_of_a_token_goes_unnoticed(place: int, flip: int) -> None:
    token = bytearray(_good().encode())
    place %= len(token)
    token[place] = (token[place] ^ flip) & 0x7F
    changed = token.decode("latin-1")
    if changed == _good():
        return
    try:
        claims = verify(changed)
    except Unauthenticated:
        return
    # base64 has spare bits in a segment's last letter: what is signed must still be the same, to the byte.
    assert changed.rsplit(".", 1)[0] == _good().rsplit(".", 1)[0]
    assert claims.subject == "alice"


@pytest.mark.parametrize("departure", list(Departure))
def test_tokens_die_with_the_head_that_issued_them(departure: Departure) -> None:
    token = signed(payload(iss=OTHER), OTHER_ED.key, "EdDSA")
    gone = members(tombstones={OTHER: Tombstone(departure=departure, at="2030-01-01T00:00:00.000Z", generation=1)})
    verifier = JwtVerifier()
    assert verifier.verify(token, WHO, NOW).issuer == OTHER
    with pytest.raises(Unauthenticated, match="was removed from" if departure is Departure.REMOVED else "has left"):
        verifier.verify(token, gone, NOW)
    assert verifier.verify(token, WHO, NOW).issuer == OTHER


def test_what_is_remembered_of_a_token_ends_with_its_time_its_issuers_key_and_its_cluster() -> None:
    token, verifier = _good(), JwtVerifier()
    for _ in range(2):
        assert verifier.verify(token, WHO, NOW).subject == "alice"
    later = NOW + timedelta(hours=1, seconds=60)
    with pytest.raises(Unauthenticated, match="expired"):
        verifier.verify(token, WHO, later)
    with pytest.raises(Unauthenticated, match="signature"):
        verifier.verify(token, members(me=head(ssh_public=OTHER_ED.public)), NOW)
    elsewhere = Members("e" * 32, ME, WHO.heads, {}, 1)
    with pytest.raises(Unauthenticated, match="another cluster"):
        verifier.verify(token, elsewhere, NOW)


def test_more_tokens_than_are_remembered_are_still_good() -> None:
    verifier = JwtVerifier(limit=2)
    tokens = [signed(payload(sub=f"user{n}"), ED.key, "EdDSA") for n in range(5)]
    for _ in range(2):
        assert [verifier.verify(token, WHO, NOW).subject for token in tokens] == [f"user{n}" for n in range(5)]


@pytest.mark.parametrize(
    "ssh_public",
    [
        "",
        "ssh-ed25519",
        "ssh-ed25519 AAAA",
        pair("dsa").public,
        "sk-ssh-ed25519@openssh.com AAAA",
        pair("rsa1024").public,
    ],
)
def test_a_record_whose_key_cannot_check_tokens_refuses_them(ssh_public: str) -> None:
    assert "ssh_public of the token's issuer" in refusal(_good(), members(me=head(ssh_public=ssh_public)))
