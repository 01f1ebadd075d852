"""Which keys and certificates a head's record takes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.heads.keys import check_ca_pem, check_ssh_public, ssh_fingerprint
from tests.support.pki import around_now, authority, certificate
from tests.support.ssh import pair

ED25519 = pair("ed25519").public


@pytest.mark.parametrize("kind", ["ed25519", "rsa2048", "p256", "p384", "p521"])
@pytest.mark.parametrize("spelled", ["{}", "{} root@head1", "  {}\n", "{} a comment with words"])
def test_a_key_that_can_check_tokens_is_taken(kind: str, spelled: str) -> None:
    line = " ".join(pair(kind).public.split()[:2])
    assert check_ssh_public(spelled.format(line)) == spelled.format(line).strip()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "OpenSSH public key"),
        ("ssh-ed25519", "OpenSSH public key"),
        ("ssh-ed25519 AAAA", "not a readable"),
        ("ssh-ed25519 !!!!", "not a readable"),
        ("ssh-ed25519 " + ED25519.split()[1][:-8], "not a readable"),
        ("ssh-rsa " + ED25519.split()[1], "not a readable"),
        (ED25519 + "\n" + ED25519, "one line"),
        (ED25519 + "\0", "one line"),
        ('command="sh" ' + ED25519, "OpenSSH public key"),
        ("ssh-dss AAAAB3NzaC1kc3MAAACBAP root@old", "DSA"),
        ("sk-ssh-ed25519@openssh.com AAAA me", "security token"),
        ("sk-ecdsa-sha2-nistp256@openssh.com AAAA me", "security token"),
        ("ssh-ed25519-cert-v01@openssh.com AAAA", "OpenSSH public key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "OpenSSH public key"),
        (pair("rsa1024").public, "1024 bits"),
    ],
)
def test_any_other_key_is_refused_with_the_reason(line: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_ssh_public(line)


@given(st.text())
def test_no_text_makes_a_key_check_do_anything_else(text: str) -> None:
    for line in (text, "ssh-ed25519 " + text):
        try:
            check_ssh_public(line)
        except ValueError:
            continue


def test_a_fingerprint_is_the_one_that_ssh_keygen_prints() -> None:
    line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE+K4PphrlGRQ1UlmZ7y0nXWn1W1tZAvZxrXrzuoCAtf root@head1"
    assert ssh_fingerprint(line) == "SHA256:5Mm4jzqkzRAlFFCtF+d7MxTnrDdLil8sUmcakCbuFzM"
    assert ssh_fingerprint("") == ssh_fingerprint("ssh-ed25519 !") == ssh_fingerprint("x ä") == "unreadable"


def test_one_or_more_ca_certificates_are_taken() -> None:
    one, other = authority("one").pem, authority("other").pem
    assert check_ca_pem(one) == one
    assert check_ca_pem("\n" + one + other + "\n\n") == one + other


def test_an_expired_ca_is_taken_since_each_use_looks_at_the_dates() -> None:
    past = around_now(timedelta(days=-20), timedelta(days=-10))
    assert check_ca_pem(authority("old", valid=past).pem)


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        ("", "one or more certificates"),
        ("nonsense", "one or more certificates"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "one or more certificates"),
        (authority("ca").pem[:-100], "one or more certificates"),
        ("é" + authority("ca").pem, "nothing else"),
        (authority("ca").pem + "-----BEGIN PRIVATE KEY-----", "private key never belongs"),
        (certificate(authority("ca"), "a" * 32).pem, "not a CA's"),
        (authority("ca").pem + certificate(authority("ca"), "a" * 32).pem, "not a CA's"),
    ],
)
def test_any_other_pem_is_refused_with_the_reason(pem: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_ca_pem(pem)


@given(st.text())
def test_no_text_makes_a_ca_check_do_anything_else(text: str) -> None:
    for pem in (text, f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"):
        try:
            check_ca_pem(pem)
        except ValueError:
            continue
