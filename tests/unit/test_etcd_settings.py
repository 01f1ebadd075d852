"""The configuration that the agent's own etcd runs from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agent.adapters.etcd.settings import Member, render

MEMBER = Member("a" * 32, "192.0.2.1", 52391, 52392, Path("/var/lib/agent"), "etcd-1")


def _settings(*arguments: Any, **more: Any) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(render(MEMBER, *arguments, **more))
    return read


def test_a_new_cluster_is_of_this_member_alone() -> None:
    settings = _settings("token")

    assert settings["name"] == "a" * 32
    assert settings["initial-cluster"] == f"{'a' * 32}=https://192.0.2.1:52392"
    assert settings["initial-cluster-state"] == "new"
    assert settings["initial-cluster-token"] == "token"
    assert "force-new-cluster" not in settings


def test_a_cluster_to_come_into_is_listed_with_this_member() -> None:
    settings = _settings("token", {"b" * 32: "https://192.0.2.2:52392"})

    assert settings["initial-cluster"] == (f"{'a' * 32}=https://192.0.2.1:52392,{'b' * 32}=https://192.0.2.2:52392")
    assert settings["initial-cluster-state"] == "existing"


def test_both_ports_want_certificates_and_show_the_heads() -> None:
    for side in ("client-transport-security", "peer-transport-security"):
        assert _settings("token")[side] == {
            "cert-file": "/var/lib/agent/head.pem",
            "key-file": "/var/lib/agent/head.pem",
            "trusted-ca-file": "/var/lib/agent/etcd-ca.pem",
            "client-cert-auth": True,
        }


def test_it_listens_where_the_others_reach_it_and_nowhere_else() -> None:
    settings = _settings("token")

    assert settings["listen-client-urls"] == settings["advertise-client-urls"] == "https://192.0.2.1:52391"
    assert settings["listen-peer-urls"] == settings["initial-advertise-peer-urls"] == "https://192.0.2.1:52392"


def test_an_ipv6_address_stands_in_brackets() -> None:
    member = Member("a" * 32, "2001:db8::1", 1, 2, Path("/s"), "etcd-1")

    assert (member.client_url, member.peer_url) == ("https://[2001:db8::1]:1", "https://[2001:db8::1]:2")


def test_its_data_are_never_the_distributions() -> None:
    assert _settings("token")["data-dir"] == "/var/lib/agent/etcd-1"


def test_elections_are_asked_about_first_and_the_gateway_is_on() -> None:
    settings = _settings("token")

    assert settings["pre-vote"] is settings["strict-reconfig-check"] is settings["enable-grpc-gateway"] is True


def test_a_rescue_forgets_the_other_members() -> None:
    assert _settings("token", alone=True)["force-new-cluster"] is True
