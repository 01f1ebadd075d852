"""Which engine is in force, and what is put aside because it is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.adapters.etcd.choice import Choice, choice_file, contradiction, read, should_found, write
from agent.adapters.etcd.leftovers import put_aside
from agent.config import Config, Database
from agent.config.sections import Etcd
from agent.errors import Unavailable

OWN = Choice("etcd", ("https://192.0.2.1:52391",), "ab", "etcd-1", "token")
ADOPTED = Choice("etcd", ("https://192.0.2.9:2379",), "cd")
SITES = Etcd(endpoints=("https://192.0.2.9:2379",))


def _config(engine: str, etcd: Etcd | None = None) -> Config:
    return Config(database=Database(engine=engine), etcd=etcd or Etcd())


def test_a_new_head_is_on_sqlite(tmp_path: Path) -> None:
    assert read(tmp_path) == Choice()
    assert read(tmp_path).engine == "sqlite"


def test_a_choice_is_read_as_it_was_written_and_is_nobody_elses_business(tmp_path: Path) -> None:
    choice = Choice("etcd", ("https://192.0.2.1:1",), "ab", "etcd-1", "token", {"b" * 32: "https://192.0.2.2:2"})

    write(tmp_path, Choice())
    write(tmp_path, choice)

    assert read(tmp_path) == choice
    assert choice_file(tmp_path).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["engine.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"engine": 1}'])
def test_a_damaged_choice_is_not_taken_for_sqlite(tmp_path: Path, text: str) -> None:
    choice_file(tmp_path).write_text(text)

    with pytest.raises(Unavailable, match="damaged"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("config", "choice", "words"),
    [
        (_config("sqlite", SITES), Choice(), "remove endpoints"),
        (_config("sqlite"), OWN, "set engine to auto or etcd"),
        (_config("auto", SITES), OWN, "an etcd of its own"),
        (_config("etcd", SITES), OWN, "an etcd of its own"),
    ],
)
def test_what_cannot_go_together_is_told_with_the_way_out(config: Config, choice: Choice, words: str) -> None:
    assert words in str(contradiction(config, choice))


@pytest.mark.parametrize(
    ("config", "choice"),
    [
        (_config("auto"), Choice()),
        (_config("auto"), OWN),
        (_config("etcd"), Choice()),
        (_config("etcd"), OWN),
        (_config("sqlite"), Choice()),
        (_config("etcd", SITES), Choice()),
        (_config("auto", SITES), ADOPTED),
    ],
)
def test_the_rest_goes_together(config: Config, choice: Choice) -> None:
    assert contradiction(config, choice) is None


@pytest.mark.parametrize(
    ("engine", "choice", "wanted"),
    [
        ("etcd", Choice(), True),
        ("etcd", OWN, False),
        ("auto", Choice(), False),
        ("sqlite", Choice(), False),
    ],
)
def test_only_a_configuration_that_says_etcd_begins_one(engine: str, choice: Choice, wanted: bool) -> None:  # noqa: FBT001
    assert should_found(_config(engine), choice) is wanted


def _state(directory: Path) -> Path:
    for name in ("etcd-1", "etcd-2", "etcd-3.before-20260101T000000.000000Z"):
        (directory / name).mkdir()
    for name in ("agent.db", "agent.db-wal", "copy-ab.db", "copy-cd.db", "head.pem", "etcd-ca.pem"):
        (directory / name).touch()
    return directory / "agent.db"


def _names(directory: Path) -> set[str]:
    return {path.name.partition("Z")[0] if ".before-" in path.name else path.name for path in directory.iterdir()}


def test_with_etcd_in_force_the_file_and_every_other_data_directory_go_aside(tmp_path: Path) -> None:
    moved = put_aside(tmp_path, _state(tmp_path), OWN)

    kept = {path.name for path in tmp_path.iterdir() if ".before-" not in path.name}
    assert kept == {"etcd-1", "copy-ab.db", "head.pem", "etcd-ca.pem"}
    assert len(moved) == 3
    assert all(path.exists() for path in moved)
    assert len(list(tmp_path.glob("agent.db.before-etcd-*-wal"))) == 1


def test_with_sqlite_in_force_only_what_is_etcds_goes_aside(tmp_path: Path) -> None:
    put_aside(tmp_path, _state(tmp_path), Choice())

    kept = {path.name for path in tmp_path.iterdir() if ".before-" not in path.name}
    assert kept == {"agent.db", "agent.db-wal", "head.pem", "etcd-ca.pem"}


def test_nothing_is_put_aside_twice_or_removed(tmp_path: Path) -> None:
    database = _state(tmp_path)
    before = len(list(tmp_path.iterdir()))
    put_aside(tmp_path, database, OWN)
    names = _names(tmp_path)

    assert put_aside(tmp_path, database, OWN) == []
    assert _names(tmp_path) == names
    assert len(list(tmp_path.iterdir())) == before
