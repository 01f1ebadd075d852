"""The ports that the packages reserve are those that the agent and its etcd listen on."""

from __future__ import annotations

from agent.config import Config
from tests.support.heads.network import reserved_ports


def test_they_are_the_default_ports() -> None:
    config = Config()
    listening = {int(address.rpartition(":")[2]) for address in map(str, config.api.listen)}
    first, last = map(int, reserved_ports().split("-"))
    assert listening | {config.etcd.client_port, config.etcd.peer_port} == set(range(first, last + 1))
