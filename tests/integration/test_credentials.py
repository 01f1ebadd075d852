"""Certificates for others, and another cluster's for this head: real files, real keys, every refusal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from agent.adapters.identity.checks import issued_directly
from agent.adapters.identity.credentials import HeadCredentials
from agent.adapters.identity.files import IdentityFiles, Place
from agent.adapters.identity.keeper import IdentityKeeper
from agent.adapters.identity.requests import make
from agent.errors import Conflict, Invalid, Unavailable
from agent.heads.identity import Identity
from agent.loops import Loops
from agent.ports import Issued
from tests.support.clock import StillClock
from tests.support.logs import log_lines
from tests.support.people import CLUSTER, ME, OTHER, PEER

NAMES, ADDRESSES = ("head2", "head2.example.org"), ("192.0.2.2", "2001:db8::2")
THERE = "d" * 32
"""Another cluster."""


@dataclass
class Bearer:
    """A head with its files, and what its record was told."""

    directory: Path
    credentials: HeadCredentials
    keeper: IdentityKeeper
    clock: StillClock
    told: list[Identity]

    def certificate(self, name: str = "head.pem") -> x509.Certificate:
        """The certificate in a file."""
        return x509.load_pem_x509_certificate((self.directory / name).read_bytes())

    def files(self) -> dict[str, bytes]:
        """Everything that it keeps."""
        return {path.name: path.read_bytes() for path in self.directory.iterdir()}


def bearer(directory: Path, uid: str, cluster: str = CLUSTER) -> Bearer:
    """A head that has started once."""
    directory.mkdir()
    clock, told = StillClock(), []
    place = Place(NAMES, ADDRESSES, ("[::]:52390",))
    files = IdentityFiles(directory, uid, lambda: place)

    async def tell(identity: Identity) -> None:
        told.append(identity)

    keeper = IdentityKeeper(files, files.open(cluster, clock.now()), clock, Loops(), tell)
    return Bearer(directory, HeadCredentials(directory, uid, lambda: place, keeper, clock), keeper, clock, told)


@pytest.fixture
def heads(tmp_path: Path) -> tuple[Bearer, Bearer]:
    """A head of a cluster, and one that wants to join it."""
    return bearer(tmp_path / "member", PEER, THERE), bearer(tmp_path / "newcomer", ME)


async def issued(member: Bearer, newcomer: Bearer) -> Issued:
    """What the newcomer is given."""
    asked = await newcomer.credentials.request()
    return await member.credentials.certify(asked.pem, ME, asked.names, ADDRESSES)


async def test_a_newcomer_gets_a_certificate_for_its_own_key_and_names_alone(heads: tuple[Bearer, Bearer]) -> None:
    member, newcomer = heads
    given = await issued(member, newcomer)

    certificate = x509.load_pem_x509_certificate(given.certificate.encode())
    assert certificate.public_key() == newcomer.certificate().public_key()
    assert issued_directly(certificate, member.certificate("ca.pem"))
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [f"urn:clusterware:head:{ME}"]
    assert tuple(names.get_values_for_type(x509.DNSName)) == NAMES
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert "PRIVATE" not in repr(given)


async def test_it_is_taken_over_kept_and_renewed_under_the_clusters_ca(heads: tuple[Bearer, Bearer]) -> None:
    member, newcomer = heads
    await newcomer.credentials.adopt(THERE, await issued(member, newcomer))
    assert newcomer.told == []  # its record is told once the database is the cluster's

    await newcomer.credentials.settle(THERE)

    assert newcomer.certificate("ca.pem") == member.certificate("ca.pem")
    assert [identity.ca_pem for identity in newcomer.told] == [member.keeper.identity.ca_pem]
    assert set(newcomer.files()) == {"ca.pem", "head.pem"}
    newcomer.clock.move(timedelta(days=336).total_seconds())
    await newcomer.keeper.check()
    renewed = newcomer.certificate()
    assert renewed.not_valid_after_utc == newcomer.clock.now() + timedelta(days=365)
    assert issued_directly(renewed, member.certificate("ca.pem"))
    assert len(newcomer.told) == 2
    assert newcomer.told[0].key_sha256 == newcomer.told[1].key_sha256


async def test_it_goes_back_to_exactly_what_it_had(heads: tuple[Bearer, Bearer]) -> None:
    member, newcomer = heads
    before = newcomer.files()
    await newcomer.credentials.adopt(THERE, await issued(member, newcomer))
    assert newcomer.keeper.identity.ca_pem == member.keeper.identity.ca_pem

    await newcomer.credentials.settle(CLUSTER)

    assert newcomer.files() == before
    await newcomer.credentials.settle(CLUSTER)
    assert newcomer.files() == before


async def test_a_second_exchange_before_the_first_ended_goes_back_to_the_beginning(
    heads: tuple[Bearer, Bearer],
) -> None:
    member, newcomer = heads
    before = newcomer.files()
    await newcomer.credentials.adopt(THERE, await issued(member, newcomer))
    await newcomer.credentials.begin("e" * 32)

    await newcomer.credentials.settle(CLUSTER)

    assert newcomer.files() == before


async def test_who_begins_anew_has_another_key_under_another_ca(heads: tuple[Bearer, Bearer]) -> None:
    _, newcomer = heads
    former, ca = newcomer.certificate(), newcomer.certificate("ca.pem")

    await newcomer.credentials.begin(THERE)
    await newcomer.credentials.settle(THERE)

    assert newcomer.certificate().public_key() != former.public_key()
    assert newcomer.certificate("ca.pem").public_key() != ca.public_key()
    assert issued_directly(newcomer.certificate(), newcomer.certificate("ca.pem"))
    assert THERE in newcomer.certificate("ca.pem").subject.rfc4514_string()


def _signed(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, uri: str | None) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if uri is not None:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def _forged() -> str:
    """A request whose key is not the one that signed it."""
    good = x509.load_pem_x509_csr(make(ec.generate_private_key(ec.SECP256R1()), ME).encode())
    raw = bytearray(good.public_bytes(Encoding.DER))
    raw[-1] ^= 1
    return x509.load_der_x509_csr(bytes(raw)).public_bytes(Encoding.PEM).decode()


P256 = ec.generate_private_key(ec.SECP256R1())
URI = f"urn:clusterware:head:{ME}"


@pytest.mark.parametrize(
    ("request_of", "why"),
    [
        (lambda: "nonsense", "must be a certificate request"),
        (lambda: "-" * 20000, "longer"),
        (lambda: make(P256, OTHER), "not for the head that joins"),
        (lambda: _signed(P256, None), "must be a certificate request"),
        (lambda: _signed(ec.generate_private_key(ec.SECP384R1()), URI), "P-256"),
        (lambda: _signed(rsa.generate_private_key(65537, 2048), URI), "P-256"),
        (_forged, "not signed with the key"),
    ],
)
async def test_no_certificate_for_a_request_that_proves_nothing(
    heads: tuple[Bearer, Bearer], request_of: Callable[[], str], why: str
) -> None:
    with pytest.raises(Invalid, match=why):
        await heads[0].credentials.certify(request_of(), ME, NAMES, ADDRESSES)


async def test_no_certificate_while_the_ca_is_being_exchanged(heads: tuple[Bearer, Bearer]) -> None:
    member, newcomer = heads
    (member.directory / "ca-next.pem").write_bytes((newcomer.directory / "ca.pem").read_bytes())
    with pytest.raises(Conflict, match="exchanged"):
        await issued(member, newcomer)


@pytest.mark.parametrize("wrong", ["certificate", "ca_pem", "ca_key"])
async def test_what_does_not_fit_together_is_not_taken_over(heads: tuple[Bearer, Bearer], wrong: str) -> None:
    member, newcomer = heads
    before, good = newcomer.files(), await issued(member, newcomer)
    own = (newcomer.directory / "ca.pem").read_text()
    for value in (own, "nonsense", newcomer.certificate().public_bytes(Encoding.PEM).decode()):
        with pytest.raises(Invalid):
            await newcomer.credentials.adopt(THERE, msgspec.structs.replace(good, **{wrong: value}))
    assert newcomer.files() == before


async def test_a_disk_that_fails_is_told(heads: tuple[Bearer, Bearer]) -> None:
    member, newcomer = heads
    given = await issued(member, newcomer)
    (newcomer.directory / ".ca.pem.new").mkdir()
    with pytest.raises(Unavailable):
        await newcomer.credentials.adopt(THERE, given)


async def test_the_cas_own_end_is_told_half_a_year_before_and_once_a_day(heads: tuple[Bearer, Bearer]) -> None:
    member, _ = heads
    member.clock.move(timedelta(days=3650 - 181).total_seconds())
    with log_lines() as said:
        for hours in (1, 25, 1, 24, 1):
            await member.keeper.check()
            member.clock.move(hours * 3600)
    warnings = [line for line in said if line["event"] == "Cluster CA is near its end"]
    assert len(warnings) == 2
    assert "ca rotate" in warnings[0]["todo"]


async def test_a_look_at_the_dates_waits_for_an_exchange_under_way(heads: tuple[Bearer, Bearer]) -> None:
    member, newcomer = heads
    given = await issued(member, newcomer)
    async with asyncio.TaskGroup() as group:
        group.create_task(newcomer.credentials.adopt(THERE, given))
        group.create_task(newcomer.keeper.check())
    assert newcomer.keeper.identity.ca_pem == member.keeper.identity.ca_pem
