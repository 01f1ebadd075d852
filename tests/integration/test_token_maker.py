"""Making tokens with the SSH host key: each kind as ssh-keygen writes it, and what each useless one is told."""

from __future__ import annotations

import asyncio
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from agent.adapters.identity.ssh_keys import key_file, signing_key
from agent.adapters.identity.tokens import JwtMaker, JwtVerifier
from agent.config import Auth
from agent.errors import Conflict, Unauthenticated, Unavailable
from agent.heads.members import Members
from tests.support.clock import StillClock
from tests.support.people import ME, Roster, head, members
from tests.support.ssh import pair

DAY = timedelta(days=1)


def maker(path: Path, who: Members) -> JwtMaker:
    """A maker with the key in that file."""
    return JwtMaker(path, Roster(who), StillClock())


@pytest.mark.parametrize("arguments", ["-t ed25519", "-t rsa -b 2048", "-t rsa -b 2048 -m PEM", "-t ecdsa -b 384"])
async def test_a_token_made_with_a_key_of_ssh_keygen_is_verified_with_its_pub_file(
    tmp_path: Path, arguments: str
) -> None:
    path = tmp_path / "ssh_host_key"
    process = await asyncio.create_subprocess_exec("ssh-keygen", *arguments.split(), "-q", "-N", "", "-f", str(path))
    assert await process.wait() == 0
    clock, who = StillClock(), members(me=head(ssh_public=Path(f"{path}.pub").read_text()))
    issued = await JwtMaker(path, Roster(who), clock).make("alice", ["HeadsRead"], DAY)
    assert JwtVerifier().verify(issued.token, who, clock.now()) == issued.claims
    assert (issued.claims.issuer, issued.claims.subject) == (ME, "alice")
    assert issued.claims.expires == clock.now() + DAY
    clock.move(86400 + 60)
    with pytest.raises(Unauthenticated):
        JwtVerifier().verify(issued.token, who, clock.now())


async def test_no_two_tokens_have_the_same_name_in_the_audit(tmp_path: Path) -> None:
    key = pair("ed25519")
    make = maker(key.write(tmp_path / "key"), members(me=head(ssh_public=key.public)))
    made = [await make.make("alice", ["HeadsRead"], DAY) for _ in range(2)]
    assert made[0].claims.token_id != made[1].claims.token_id


@pytest.mark.parametrize("kind", ["ed25519", "rsa2048", "p256", "p384", "p521"])
def test_the_public_half_is_what_stands_in_a_record(tmp_path: Path, kind: str) -> None:
    key = pair(kind)
    assert signing_key(key.write(tmp_path / "key")).ssh_public == key.public.removesuffix(" root@head")


def test_keys_that_cannot_sign_are_told_apart(tmp_path: Path) -> None:
    def why(path: Path) -> str:
        with pytest.raises(Unavailable) as caught:
            signing_key(path)
        return caught.value.reason

    (tmp_path / "junk").write_text("missing")
    (tmp_path / "half").write_bytes(pair("ed25519").write(tmp_path / "whole").read_bytes()[:200])
    assert "there is no SSH key at" in why(tmp_path / "nothing")
    assert "cannot be read: Is a directory" in why(tmp_path)
    assert "damaged or missing" in why(tmp_path / "junk")
    assert "damaged or missing" in why(tmp_path / "half")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(tmp_path / "locked")], check=True)
    assert "is encrypted" in why(tmp_path / "locked")
    assert "is encrypted" in why(pair("rsa2048").write(tmp_path / "locked-pem", passphrase=b"secret", pem=True))
    assert "1024 bits: at least 2048" in why(pair("rsa1024").write(tmp_path / "weak"))
    subprocess.run(
        ["openssl", "ecparam", "-name", "secp256k1", "-genkey", "-noout", "-out", str(tmp_path / "curve")], check=True
    )
    assert "a curve that SSH does not know" in why(tmp_path / "curve")
    assert "DSA or other" in why(pair("dsa").write(tmp_path / "dsa", pem=True))


async def test_a_key_that_is_not_the_one_in_the_record_makes_no_tokens(tmp_path: Path) -> None:
    make = maker(pair("ed25519").write(tmp_path / "key"), members(me=head(ssh_public=pair("ed25519", 1).public)))
    with pytest.raises(Conflict, match="not the ssh_public of its record"):
        await make.make("alice", ["HeadsRead"], DAY)


def test_the_credential_wins_over_the_configured_key(tmp_path: Path) -> None:
    auth, environ = Auth(ssh_key=tmp_path / "configured"), {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert key_file(auth, {}) == tmp_path / "configured"
    assert key_file(auth, environ) == tmp_path / "configured"
    (tmp_path / "ssh_host_key").touch()
    assert key_file(auth, environ) == tmp_path / "ssh_host_key"
