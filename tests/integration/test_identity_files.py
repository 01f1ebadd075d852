"""This head's CA and certificate on disk: made, kept, reissued, and never trusted when they are damaged."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from agent.adapters.identity.files import IdentityFiles, Place
from agent.adapters.identity.keeper import IdentityKeeper
from agent.errors import Failed, Unavailable
from agent.heads.identity import Identity
from agent.loops import Loops
from tests.support.clock import StillClock
from tests.support.people import CLUSTER, ME, PEER
from tests.support.pki import authority, certificate

NOW = datetime.now(UTC).replace(microsecond=0)
HERE = Place(("head1", "head1.example.org"), ("192.0.2.1", "2001:db8::1"), ("[::]:52390",))


class Moving:
    """A head whose names and addresses change."""

    def __init__(self) -> None:
        self.place = HERE

    def __call__(self) -> Place:
        """Where it is now."""
        return self.place


def opened(directory: Path, now: datetime = NOW, *, uid: str = ME, place: Place = HERE) -> Identity:
    """The identity as a start at that moment finds or makes it."""
    return IdentityFiles(directory, uid, lambda: place).open(CLUSTER, now)


def shown(directory: Path) -> x509.Certificate:
    """The head's certificate."""
    return x509.load_pem_x509_certificate((directory / "head.pem").read_bytes())


def test_a_first_start_makes_a_ca_and_a_certificate_that_openssl_accepts(tmp_path: Path) -> None:
    identity = opened(tmp_path)
    (tmp_path / "public.pem").write_text(identity.ca_pem)
    for purpose in ("sslserver", "sslclient"):
        subprocess.run(
            ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile", "public.pem", "head.pem"],
            cwd=tmp_path,
            check=True,
            stdout=subprocess.DEVNULL,
        )
    assert identity.url == "https://192.0.2.1:52390"
    assert "PRIVATE" not in identity.ca_pem
    assert [p.stat().st_mode & 0o777 for p in (tmp_path / "ca.pem", tmp_path / "head.pem")] == [0o600, 0o600]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ca.pem", "head.pem", "public.pem"]


def test_the_certificates_say_what_peers_and_etcd_need(tmp_path: Path) -> None:
    identity = opened(tmp_path)
    ca, head = x509.load_pem_x509_certificate(identity.ca_pem.encode()), shown(tmp_path)
    assert CLUSTER in str(ca.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    assert head.subject.get_attributes_for_oid(NameOID.COMMON_NAME) == []
    names = head.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [f"urn:clusterware:head:{ME}"]
    assert names.get_values_for_type(x509.DNSName) == ["head1", "head1.example.org"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.1", "2001:db8::1"]
    for made in (ca, head):
        assert made.not_valid_before_utc == NOW - timedelta(days=30)
    assert head.not_valid_after_utc == NOW + timedelta(days=365)
    assert ca.not_valid_after_utc == NOW + timedelta(days=3650)


def test_two_clusters_cas_never_have_the_same_name(tmp_path: Path) -> None:
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        made.append(x509.load_pem_x509_certificate(opened(tmp_path / name).ca_pem.encode()))
    assert made[0].subject != made[1].subject


def test_a_second_start_changes_nothing_and_needs_no_database(tmp_path: Path) -> None:
    first = opened(tmp_path)
    files = IdentityFiles(tmp_path, ME, lambda: HERE)
    assert files.open(None, NOW + timedelta(days=334)) == first


@pytest.mark.parametrize(
    ("when", "place"),
    [
        (timedelta(days=336), HERE),
        (timedelta(days=400), HERE),
        (timedelta(days=-31), HERE),
        (timedelta(), Place(HERE.names, ("192.0.2.7",), HERE.listen)),
        (timedelta(), Place(("renamed",), HERE.addresses, HERE.listen)),
    ],
)
def test_a_certificate_is_reissued_in_time_and_on_change_and_keeps_its_key(
    tmp_path: Path, when: timedelta, place: Place
) -> None:
    first = opened(tmp_path)
    second = opened(tmp_path, NOW + when, place=place)
    assert second.fingerprint != first.fingerprint
    assert (second.key_sha256, second.ca_pem) == (first.key_sha256, first.ca_pem)
    assert shown(tmp_path).not_valid_after_utc == NOW + when + timedelta(days=365)
    assert opened(tmp_path, NOW + when, place=place) == second


def test_near_the_cas_own_end_a_certificate_is_not_reissued_over_and_over(tmp_path: Path) -> None:
    opened(tmp_path)
    late = NOW + timedelta(days=3640)
    last = opened(tmp_path, late)
    assert shown(tmp_path).not_valid_after_utc == NOW + timedelta(days=3650)
    assert opened(tmp_path, late + timedelta(days=1)) == last


def test_another_ca_in_place_has_the_certificate_reissued_with_the_same_key(tmp_path: Path) -> None:
    first = opened(tmp_path)
    ca = authority("another CA")
    ca.write(tmp_path / "ca.pem")
    second = opened(tmp_path)
    assert second.ca_pem == ca.pem
    assert second.key_sha256 == first.key_sha256
    shown(tmp_path).verify_directly_issued_by(ca.certificate)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-300])


def _foreign_key(path: Path) -> None:
    ours, foreign = path.read_text(), authority("foreign")
    certificate_part = ours[ours.index("-----BEGIN CERTIFICATE") :]
    foreign.write(path)
    key_part = path.read_text().partition("-----BEGIN CERTIFICATE")[0]
    path.write_text(key_part + certificate_part)


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "junk": lambda path: path.write_bytes(b"\0\xffjunk"),
    "cut off": _cut,
    "another key": _foreign_key,
    "a directory": _directory,
}


@pytest.mark.parametrize("name", ["ca.pem", "head.pem"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_files_are_named_and_left_as_they_are(tmp_path: Path, name: str, damage: str) -> None:
    opened(tmp_path)
    DAMAGE[damage](tmp_path / name)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    with pytest.raises(Unavailable, match=name):
        opened(tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before


def test_a_ca_file_that_holds_no_ca_is_refused(tmp_path: Path) -> None:
    certificate(authority(), PEER).write(tmp_path / "ca.pem")
    with pytest.raises(Unavailable, match="not a CA's certificate"):
        opened(tmp_path)


def test_a_copied_machine_is_told_that_the_certificate_is_another_heads(tmp_path: Path) -> None:
    opened(tmp_path)
    with pytest.raises(Unavailable, match=f"urn:clusterware:head:{ME}, and this head is {PEER}"):
        opened(tmp_path, uid=PEER)


def test_a_lost_ca_is_not_silently_replaced(tmp_path: Path) -> None:
    opened(tmp_path)
    (tmp_path / "ca.pem").unlink()
    with pytest.raises(Unavailable, match="is missing"):
        opened(tmp_path)


def test_without_the_clusters_id_no_ca_is_made(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="the database, which cannot be used"):
        IdentityFiles(tmp_path, ME, lambda: HERE).open(None, NOW)
    assert list(tmp_path.iterdir()) == []


def test_a_crash_between_the_ca_and_the_certificate_is_finished_by_the_next_start(tmp_path: Path) -> None:
    first = opened(tmp_path)
    (tmp_path / "head.pem").unlink()
    (tmp_path / ".head.pem.new").write_text("half a ke")
    second = opened(tmp_path)
    assert second.ca_pem == first.ca_pem
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ca.pem", "head.pem"]


def test_a_key_that_was_open_to_others_is_closed(tmp_path: Path) -> None:
    opened(tmp_path)
    (tmp_path / "head.pem").chmod(0o644)
    opened(tmp_path)
    assert (tmp_path / "head.pem").stat().st_mode & 0o777 == 0o600


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"cannot write .*ca\.pem: No such file"):
        opened(tmp_path / "nowhere")


async def test_a_running_agent_reissues_and_tells_until_it_was_heard(tmp_path: Path) -> None:
    moving, clock, heard = Moving(), StillClock(), list[Identity]()
    files = IdentityFiles(tmp_path, ME, moving)
    first = files.open(CLUSTER, clock.now())

    async def hear(identity: Identity) -> None:
        heard.append(identity)
        if len(heard) == 1:
            raise Failed("the database is busy")

    keeper = IdentityKeeper(files, first, clock, Loops(), hear)
    await keeper.check()
    assert (heard, keeper.identity) == ([], first)
    moving.place = Place(HERE.names, ("192.0.2.8",), HERE.listen)
    with pytest.raises(Failed):
        await keeper.check()
    assert keeper.identity.addresses == ("192.0.2.8",)
    for _ in range(2):
        await keeper.check()
    assert heard == [keeper.identity, keeper.identity]


async def test_a_running_agent_notices_within_a_minute_that_its_address_has_changed(tmp_path: Path) -> None:
    files, clock, loops = IdentityFiles(tmp_path, ME, lambda: HERE), StillClock(), Loops()

    async def hear(_identity: Identity) -> None:
        """Nobody changes anything."""

    IdentityKeeper(files, files.open(CLUSTER, clock.now()), clock, loops, hear)

    assert [loop.name for loop in loops.all if loop.interval <= 60] == ["certificate"]
