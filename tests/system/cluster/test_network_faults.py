"""The test bed's own network: what it is told to lose is lost, that way and no other."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.support.heads import Heads, Host
from tests.support.heads.head import wait_for

_COUNT = 200
_RECEIVE = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 4000))
print("ready", flush=True)
got = set()
while b"end" not in got:
    got.add(s.recv(9))
print(len(got) - 1)
"""
_SEND = f"""
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range({_COUNT}):
    s.sendto(b"%d" % number, (sys.argv[1], 4000))
"""
_END = 'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"end", ("127.0.0.1", 4000))'
_PYTHON = "/usr/bin/python3"


def arrived(sender: Host, receiver: Host) -> float:
    """The share of datagrams that arrives."""
    with subprocess.Popen(receiver.argv(_PYTHON, "-c", _RECEIVE), stdout=subprocess.PIPE, text=True) as receiving:
        assert receiving.stdout is not None
        receiving.stdout.readline()
        sender.run(_PYTHON, "-c", _SEND, receiver.address)
        time.sleep(0.05)  # what is on its way arrives
        receiver.run(_PYTHON, "-c", _END)
        return int(receiving.stdout.read()) / _COUNT


@pytest.fixture
def pair(heads: Heads) -> Iterator[tuple[Host, Host]]:
    yield heads.host("north"), heads.host("south")
    heads.network.repair()
    heads.network.remove("north")
    heads.network.remove("south")


def test_a_link_is_lost_one_way_or_in_part_and_repaired(heads: Heads, pair: tuple[Host, Host]) -> None:
    north, south = pair
    wait_for(lambda: arrived(north, south) == 1.0, "the machines to find each other")

    heads.network.cut_one_way("north", "south")
    assert (arrived(north, south), arrived(south, north)) == (0.0, 1.0)

    heads.network.lose(0.3, ["north"], ["south"])
    assert 0.5 < arrived(north, south) < 0.9

    heads.network.partition(["north"], ["south"])
    assert (arrived(north, south), arrived(south, north)) == (0.0, 0.0)

    heads.network.repair()
    assert (arrived(north, south), arrived(south, north)) == (1.0, 1.0)


def test_a_switch_that_restarts_forwards_nothing_meanwhile(heads: Heads, pair: tuple[Host, Host]) -> None:
    north, south = pair
    with heads.network.switch_down():
        meanwhile = arrived(north, south)

    assert meanwhile == 0.0
    wait_for(lambda: arrived(north, south) == 1.0, "the switch to forward again")
