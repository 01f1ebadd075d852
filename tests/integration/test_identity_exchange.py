"""The CA files through an exchange: what is believed at each step, crashes in between, what is refused."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from agent.adapters.clock import SystemClock
from agent.adapters.identity.exchange import CaFiles, ca_names
from agent.adapters.identity.files import IdentityFiles, Place
from agent.adapters.identity.tls import server_context
from agent.errors import Conflict, Invalid
from agent.heads.identity import Identity
from agent.ports import CaPair, Step

ME, CLUSTER = "a" * 32, "c" * 32
PLACE = Place(("head1",), ("192.0.2.1",), ("[::]:52390",))


class Head:
    """The identity of one head, and the exchange of its CA."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(exist_ok=True)
        self.directory = directory
        self._clock = SystemClock()
        self._files = IdentityFiles(directory, ME, lambda: PLACE)
        self.identity = self._files.open(CLUSTER, self._clock.now())
        self.exchange = CaFiles(directory, lambda: CLUSTER, self._clock, self._reissue)

    async def _reissue(self) -> None:
        self.identity = self._files.open(None, self._clock.now())

    def restarted(self) -> Identity:
        return IdentityFiles(self.directory, ME, lambda: PLACE).open(None, self._clock.now())


@pytest.fixture
def head(tmp_path: Path) -> Head:
    return Head(tmp_path / "state")


async def test_both_cas_are_believed_until_the_former_is_dropped(head: Head) -> None:
    (old,) = ca_names(head.identity.ca_pem)
    key, certificate = head.identity.key_sha256, head.identity.fingerprint
    pair = await head.exchange.propose()
    (new,) = ca_names(pair.pem)
    assert ca_names(head.identity.ca_pem) == (old, new)  # whoever proposes it believes it
    await head.exchange.trust(pair)
    assert ca_names(head.identity.ca_pem) == (old, new)
    assert head.identity.fingerprint == certificate
    await head.exchange.issue()
    assert ca_names(head.identity.ca_pem) == (new, old)
    assert head.identity.fingerprint != certificate
    await head.exchange.drop()
    assert ca_names(head.identity.ca_pem) == (new,)
    assert head.identity.key_sha256 == key  # the other heads' pins hold
    server_context(head.identity, ())
    assert head.restarted() == head.identity


async def test_an_exchange_begun_with_is_gone_on_with(head: Head) -> None:
    first = await head.exchange.propose()
    assert await head.exchange.propose() == first
    await head.exchange.issue()
    assert await head.exchange.propose() == first
    await head.exchange.drop()
    assert await head.exchange.propose() != first


async def test_every_step_can_be_repeated(head: Head) -> None:
    pair = await head.exchange.propose()
    for step in (Step.TRUST, Step.ISSUE, Step.DROP):
        await _do(head, step, pair)
        before = (await head.exchange.state(), head.identity)
        if step is not Step.DROP:
            await _do(head, step, pair)
            assert (await head.exchange.state(), head.identity) == before
    await head.exchange.drop()


async def _do(head: Head, step: Step, pair: CaPair) -> None:
    match step:
        case Step.TRUST:
            await head.exchange.trust(pair)
        case Step.ISSUE:
            await head.exchange.issue()
        case Step.DROP:
            await head.exchange.drop()


async def test_a_crash_between_the_two_renames_is_mended_by_the_next_try(head: Head) -> None:
    (old,) = ca_names(head.identity.ca_pem)
    pair = await head.exchange.propose()
    following = (head.directory / "ca-next.pem").read_bytes()
    await head.exchange.issue()
    (head.directory / "ca-next.pem").write_bytes(following)  # as if its removal had not reached the disk
    (head.directory / "ca-next.pem").chmod(0o600)
    await head.exchange.issue()
    state = await head.exchange.state()
    assert (state.issuing, state.next, state.former) == (*ca_names(pair.pem), None, old)


async def test_a_ca_from_elsewhere_is_believed_and_issues(head: Head, tmp_path: Path) -> None:
    other = Head(tmp_path / "other")
    pair = await other.exchange.propose()
    await head.exchange.trust(pair)
    await head.exchange.issue()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=pair.pem)
    assert (await head.exchange.state()).issuing == ca_names(pair.pem)[0]


@pytest.mark.parametrize("broken", ["", "no PEM", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
async def test_what_is_no_ca_is_refused_and_changes_nothing(head: Head, broken: str) -> None:
    before = await head.exchange.state()
    with pytest.raises(Invalid):
        await head.exchange.trust(CaPair(broken))
    assert await head.exchange.state() == before


async def test_a_heads_certificate_is_no_ca(head: Head) -> None:
    with pytest.raises(Invalid, match="must be a CA"):
        await head.exchange.trust(CaPair((head.directory / "head.pem").read_text()))


async def test_nothing_is_issued_from_a_ca_that_was_never_given(head: Head) -> None:
    with pytest.raises(Conflict):
        await head.exchange.issue()


async def test_the_keys_are_the_agents_alone(head: Head) -> None:
    await head.exchange.propose()
    assert {path.stat().st_mode & 0o777 for path in head.directory.iterdir()} == {0o600}
