"""Which member to ask: the local one when it can be had, else another; one that failed is left for a while."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from agent.ports import Clock

PENALTY = 5.0
"""Seconds for which a member that failed is asked only when no other is left."""


class Endpoints:
    """The client URLs of the members: those configured, which stay for ever, and those learned from the members.

    The first configured one is preferred: the head's own member.
    """

    def __init__(self, seeds: Iterable[str], clock: Clock) -> None:
        self._seeds = tuple(dict.fromkeys(url.rstrip("/") for url in seeds))
        self._learned: tuple[str, ...] = ()
        self._failed: dict[str, float] = {}
        self._clock = clock

    @property
    def all(self) -> tuple[str, ...]:
        """Every URL, the preferred first."""
        return (*self._seeds, *self._learned)

    @property
    def best(self) -> str:
        """Where to ask now: the first that has not failed, else the one that failed longest ago."""
        good = next((url for url in self.all if url not in self._failed), None)
        return good or min(self.all, key=lambda url: self._failed[url])

    @property
    def due(self) -> list[str]:
        """Those that failed and may be tried again, by somebody who has the time to wait; longest ago first."""
        now = self._clock.monotonic()
        past = [url for url in self._failed if now - self._failed[url] >= PENALTY]
        return sorted(past, key=lambda url: self._failed[url])

    def trusted(self, url: str) -> bool:
        """Whether it has not failed lately."""
        return url in self.all and url not in self._failed

    def failed(self, url: str) -> None:
        """Note that it did not answer, or not as it should."""
        self._failed[url] = self._clock.monotonic()

    def answered(self, url: str) -> None:
        """Note that it did."""
        self._failed.pop(url, None)

    def learn(self, urls: Iterable[str]) -> None:
        """Take what the members say of themselves, in place of what they said before."""
        reachable = (url.rstrip("/") for url in urls if usable(url, self._seeds))
        self._learned = tuple(url for url in dict.fromkeys(reachable) if url not in self._seeds)
        self._failed = {url: when for url, when in self._failed.items() if url in self.all}


def usable(url: str, seeds: Iterable[str]) -> bool:
    """Whether an advertised URL leads to the member that advertises it, seen from here.

    `http://0.0.0.0:2379` never does, and etcd's default `http://localhost:2379` only where all run on one host.
    """
    host = urlsplit(url).hostname
    if not host or (_loopback(host) and not all(_loopback(urlsplit(seed).hostname or "") for seed in seeds)):
        return False
    try:
        return not ip_address(host).is_unspecified
    except ValueError:
        return True


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
