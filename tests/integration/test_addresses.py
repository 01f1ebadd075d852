"""This head's addresses, read without netlink, against what ip(8) says by netlink."""

from __future__ import annotations

import ipaddress
import json
import subprocess

from agent.adapters.addresses import own_addresses, reachable_addresses


def _by_netlink() -> list[dict[str, str]]:
    links = json.loads(subprocess.run(["ip", "-json", "address"], check=True, capture_output=True).stdout)
    return [entry for link in links for entry in link["addr_info"] if "local" in entry]


def test_all_addresses_are_found() -> None:
    assert sorted(own_addresses()) == sorted(entry["local"] for entry in _by_netlink())


def test_only_stable_addresses_that_leave_the_link_are_told_to_others() -> None:
    told = reachable_addresses()
    assert set(told) <= {entry["local"] for entry in _by_netlink() if entry["scope"] == "global"}
    assert not any((ip := ipaddress.ip_address(a)).is_loopback or ip.is_link_local for a in told)
    assert [":" in address for address in told] == sorted(":" in address for address in told)
