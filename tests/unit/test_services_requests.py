"""POST /head/services, read: what is accepted, and how each fault is told."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.errors import Invalid
from agent.services.requests import Action, Request, read_request
from agent.services.units import OWN_UNIT

A, B = "clusterware-a.service", "clusterware-b.service"
NAMES = {A: A, B: B, "chronyd.service": "chrony.service", "chrony.service": "chrony.service", OWN_UNIT: OWN_UNIT}


def read(status: Any, services: Any, **more: Any) -> Request:
    return read_request({"status": status, "services": services, **more}, NAMES)


def faults(body: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as refused:
        read_request(body, NAMES)
    return [(fault.field, fault.reason) for fault in refused.value.fields]


def test_words_keep_their_order_and_collapse() -> None:
    request = read(" enable,start ,enable, start", ["clusterware-a", B])
    assert request == Request((Action.ENABLE, Action.START), (A, B))


@pytest.mark.parametrize("word", ["start", "stop", "restart", "enable", "disable", "reload"])
def test_every_word_of_the_interface_is_known(word: str) -> None:
    assert read(word, ["clusterware-a"]).actions == (Action(word),)


def test_an_alias_names_its_unit() -> None:
    assert read("start", ["chronyd"]).units == ("chrony.service",)


@pytest.mark.parametrize(
    ("body", "field", "reason"),
    [
        ({}, "services", "must be a list"),
        ({"services": ["clusterware-a"]}, "status", "must be text"),
        ({"status": ["start"], "services": ["clusterware-a"]}, "status", "must be text"),
        ({"status": 7, "services": ["clusterware-a"]}, "status", "must be text"),
        ({"status": "", "services": ["clusterware-a"]}, "status", "'' is none of"),
        ({"status": "start,", "services": ["clusterware-a"]}, "status", "'' is none of"),
        ({"status": "START", "services": ["clusterware-a"]}, "status", "'START' is none of"),
        ({"status": "start,kill", "services": ["clusterware-a"]}, "status", "'kill' is none of"),
        ({"status": "start", "services": []}, "services", "at least one"),
        ({"status": "start", "services": "clusterware-a"}, "services", "must be a list"),
        ({"status": "start", "services": {"clusterware-a": 1}}, "services", "must be a list"),
        ({"status": "start", "services": [None]}, "services[0]", "must be text"),
        ({"status": "start", "services": ["clusterware-a", "sshd"]}, "services[1]", "'sshd' is not a service"),
        ({"status": "start", "services": [""]}, "services[0]", "is not a service"),
        ({"status": "start", "services": ["clusterware-a", A]}, "services[1]", "named twice"),
        ({"status": "start", "services": ["chrony", "chronyd"]}, "services[1]", "named twice"),
        ({"status": "start", "services": ["clusterware-a"], "force": True}, "force", "not known"),
        ({"status": "stop", "services": ["clusterware-head-agent"]}, "status", "restart and reload only, not stop"),
        ({"status": "restart,disable", "services": ["clusterware-head-agent"]}, "status", "not disable"),
    ],
)
def test_a_fault_names_its_field_and_what_is_allowed(body: dict[str, Any], field: str, reason: str) -> None:
    assert any(f == field and reason in r for f, r in faults(body)), faults(body)


def test_all_faults_are_told_at_once() -> None:
    assert [field for field, _ in faults({"status": "kill", "services": [1, "x"], "y": 1})] == [
        "services[0]",
        "services[1]",
        "status",
        "y",
    ]


def test_the_own_unit_takes_restart_and_reload() -> None:
    request = read("reload,restart", ["clusterware-head-agent", "clusterware-a"])
    assert request.own


def test_a_flood_of_faults_is_cut_short() -> None:
    told = faults({"status": "start", "services": ["x" * 10_000] * 5_000})
    assert len(told) == 20
    assert max(len(reason) for _, reason in told) < 200


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from(["status", "services", "x"]) | st.text(), JSON))
def test_whatever_is_sent_is_read_or_refused(body: dict[str, Any]) -> None:
    with suppress(Invalid):
        request = read_request(body, NAMES)
        assert request.actions
        assert request.units
