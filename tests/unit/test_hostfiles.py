"""The static files that follow the configuration, as text."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from agent.config import Api, Config, Files, Services, State
from agent.config.sections import Etcd
from agent.hostfiles import ENGINE, RULE, SERVICE, SOCKET, differences, render, store_group, unit_expression


@pytest.mark.parametrize(
    ("pattern", "units"),
    [
        ("clusterware*.service", ["clusterware.service", "clusterware-dhcpd.service", "clusterware-x@a.b.service"]),
        ("httpd.service", ["httpd.service"]),
        ("httpd", ["httpd.service"]),
        ("db-?.service", ["db-1.service", "db-a.service"]),
        ("db-[12].service", ["db-1.service", "db-2.service"]),
        (r"srv-a\x2db.service", [r"srv-a\x2db.service"]),
    ],
)
def test_a_pattern_matches_the_units_that_a_shell_would(pattern: str, units: list[str]) -> None:
    for unit in units:
        assert re.search(unit_expression(pattern), unit)


@pytest.mark.parametrize(
    ("pattern", "unit"),
    [
        ("clusterware*.service", "notclusterware.service"),
        ("clusterware*.service", "clusterware-x.service/../../evil"),
        ("clusterware*.service", "clusterware-x.service\n"),
        ("httpd.service", "httpdXservice"),
        ("httpd.service", "httpd.service.d"),
        ("db-?.service", "db-12.service"),
        ("db-[12].service", "db-3.service"),
    ],
)
def test_a_pattern_matches_nothing_else(pattern: str, unit: str) -> None:
    # JavaScript's $ is the very end, Python's may stand before a last line feed.
    assert not re.search(unit_expression(pattern).replace("$", r"\Z"), unit)


def test_the_rule_names_the_configured_units_only() -> None:
    rule = render(Config(services=Services(patterns=("chronyd.service",))))[RULE]

    assert r"/^chronyd\.service$/" in rule
    assert "/^clusterware[" not in rule


def test_the_store_may_be_written_and_its_group_is_the_agents_too() -> None:
    drop_in = render(Config(files=Files(root=Path("/srv/images of 50%"))), store_group="apache")[SERVICE]

    assert 'ReadWritePaths="-/srv/images of 50%%"\n' in drop_in
    assert "SupplementaryGroups=apache\n" in drop_in


@pytest.mark.parametrize("group", [None, "root", "clusterware-agent"])
def test_roots_group_is_never_the_agents(group: str | None) -> None:
    assert "SupplementaryGroups" not in render(Config(), group)[SERVICE]


def test_a_link_gives_the_agent_no_group(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)

    assert store_group(tmp_path) == tmp_path.group()
    assert store_group(tmp_path / "link") is None


def test_a_state_directory_elsewhere_may_be_written() -> None:
    drop_in = render(Config(state=State(directory=Path("/srv/state"))))[SERVICE]

    assert "ReadWritePaths=-/srv/state\n" in drop_in
    assert "ReadWritePaths=-/var/lib" not in drop_in


def test_the_sockets_are_the_configured_ones() -> None:
    config = Config(api=Api(listen=("[::]:1", "10.0.0.1:2"), socket=Path("/run/x.sock")))

    assert render(config)[SOCKET].splitlines()[2:] == [
        "ListenStream=",
        "ListenStream=1",
        "ListenStream=10.0.0.1:2",
        "ListenStream=/run/x.sock",
    ]


def test_both_wildcards_can_stand_side_by_side() -> None:
    drop_in = render(Config(api=Api(listen=("0.0.0.0:1", "[::]:1"))))[SOCKET]

    assert "ListenStream=[::]:1\n" in drop_in
    assert "BindIPv6Only=ipv6-only\n" in drop_in


def test_what_was_written_does_not_differ() -> None:
    written = render(Config())

    assert differences(Config(), lambda path: written[path]) == {}


def test_missing_and_changed_files_differ() -> None:
    written = render(Config()) | {SOCKET: "other"}

    def read(path: Path) -> str:
        if path == SERVICE:
            raise FileNotFoundError
        return written[path]

    assert differences(Config(), read) == {SERVICE: None, SOCKET: "other"}


@pytest.mark.parametrize(
    "why", [IsADirectoryError("it is a directory"), UnicodeDecodeError("utf-8", b"f\xfcr", 1, 2, "not UTF-8")]
)
def test_a_file_that_cannot_be_read_differs(why: Exception) -> None:
    written = render(Config())

    def read(path: Path) -> str:
        if path == SERVICE:
            raise why
        return written[path]

    assert differences(Config(), read) == {SERVICE: f"cannot be read: {why}"}


def test_other_units_show_also_to_one_who_may_not_read_the_rule() -> None:
    written = render(Config())
    changed = replace(Config(), services=Services(patterns=("x.service",)))

    def read(path: Path) -> str:
        if path == RULE:
            raise PermissionError
        return written[path]

    assert differences(Config(), read) == {}
    assert list(differences(changed, read)) == [SERVICE]


def test_units_named_by_an_alias_are_in_the_rule_and_nowhere_else() -> None:
    plain, resolved = render(Config()), render(Config(), primaries=["chrony.service"])
    assert unit_expression("chrony.service") in resolved[RULE]
    assert unit_expression("chrony.service") not in plain[RULE]
    assert {path for path in plain if plain[path] != resolved[path]} == {RULE}


def test_the_agents_etcd_is_as_it_is_shipped_unless_it_is_configured_elsewhere() -> None:
    assert render(Config())[ENGINE].splitlines()[1:] == ["[Service]"]


def test_the_agents_etcd_follows_the_state_directory_and_the_binary() -> None:
    config = Config(state=State(directory=Path("/srv/my state")), etcd=Etcd(binary=Path("/opt/etcd")))

    assert render(config)[ENGINE].splitlines()[1:] == [
        "[Unit]",
        "ConditionPathExists=",
        "ConditionPathExists=/srv/my state/etcd.yaml",
        "ConditionPathExists=|/srv/my state/etcd.data/member/snap/db",
        "ConditionPathExists=|/srv/my state/etcd.begins",
        "[Service]",
        'ReadWritePaths="-/srv/my state"',
        "ExecStart=",
        'ExecStart=/opt/etcd --config-file "/srv/my state/etcd.yaml"',
    ]
