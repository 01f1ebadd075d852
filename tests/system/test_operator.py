"""cw-headctl on a head: backups, the trash, and having root's files follow the configuration."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from tests.support.heads import Head, Heads
from tests.support.heads.head import CONFIG, UNIT

STORE = "/srv/another/store"


@pytest.fixture(scope="module")
def own(heads: Heads) -> Iterator[Head]:
    """A head of this module's, whose agent runs."""
    one = heads.boot("operated")
    one.start_agent()
    yield one
    heads.shut_down(one)


def test_a_backup_brings_back_what_was_then(own: Head) -> None:
    assert own.api("POST", "/images", {"name": "before"}).status == 201
    name = own.run("cw-headctl", "database", "backup").stdout.strip()
    assert own.api("POST", "/images", {"name": "after"}).status == 201

    assert own.run("cw-headctl", "database", "backups").stdout.splitlines()[1].startswith(f"{name} ")
    assert own.run("cw-headctl", "database", "restore", name, "--yes").stdout.startswith(f"Restored {name}; ")

    names = {image["name"] for image in own.api("GET", "/images").data.values()}
    assert names == {"before"}


def test_a_backup_that_is_not_there_is_one_line(own: Head) -> None:
    done = own.run("cw-headctl", "database", "restore", "20200101T000000.000000Z.db", "--yes", check=False)

    assert done.returncode == 1
    assert done.stderr.startswith("cw-headctl: cannot restore 20200101T000000.000000Z.db: there is no backup")
    assert done.stderr.count("\n") == 1


def test_programs_get_json(own: Head) -> None:
    for words in (("services",), ("files", "unused"), ("files", "trash"), ("database", "backups")):
        assert isinstance(json.loads(own.run("cw-headctl", "--json", *words).stdout), list)


def test_all_records_go_to_a_file_and_come_back(own: Head) -> None:
    own.api("POST", "/images", {"name": "saved"})
    own.run("cw-headctl", "database", "save", "/root/all.json")
    assert own.run("stat", "-c", "%a", "/root/all.json").stdout == "600\n"
    for uid, image in own.api("GET", "/images").data.items():
        if image["name"] == "saved":
            own.api("DELETE", f"/image/{uid}")
    told = own.run("cw-headctl", "database", "load", "/root/all.json", "--yes")
    assert "1 to add, 0 to change" in told.stderr
    assert "saved" in {image["name"] for image in own.api("GET", "/images").data.values()}
    assert own.run("cw-headctl", "database", "check").returncode == 0


def test_an_operator_operates_and_what_is_root_s_is_denied(own: Head) -> None:
    own.write("/etc/systemd/system/clusterware-operated.service", "[Service]\nExecStart=/bin/sleep infinity\n")
    own.systemctl("daemon-reload")
    member = ("setpriv", "--reuid=nobody", "--regid=clusterware-admin", "--clear-groups", "cw-headctl")
    assert "up" in own.run(*member, "services", "start", "clusterware-operated").stdout
    assert own.run(*member, "--all-heads", "files", "unused").returncode == 0
    denied = own.run(*member, "token", "--lifespan", "5min", "--permissions", "HeadsRead", check=False)
    assert denied.returncode == 5
    assert "use sudo" in denied.stderr
    assert denied.stderr.count("\n") == 1


def test_only_root_may_apply(own: Head) -> None:
    argv = ["setpriv", "--reuid=nobody", "--clear-groups", "cw-headctl", "config", "apply"]

    assert own.run(*argv, check=False).returncode == 5


def test_a_changed_configuration_is_told_and_applied(fresh: Callable[[], Head]) -> None:
    one = fresh()
    one.start_agent()
    with one.path(CONFIG).open("a") as config:
        config.write("[services]\npatterns = chronyd.service\n[api]\nlisten = [::]:52999\n")

    check = one.run("cw-headctl", "config", "check", check=False)
    assert check.returncode == 3
    assert "clusterware-head-agent.socket.d/50-config.conf differs" in check.stdout

    told = one.run("cw-headctl", "config", "apply").stdout.splitlines()
    assert len([line for line in told if line.startswith("Wrote /etc/")]) == 3
    todo = next(line for line in told if line.startswith("To do: "))
    one.run("sh", "-c", todo.removeprefix("To do: "))

    assert one.run("cw-headctl", "config", "check").returncode == 0
    assert one.run("curl", "-sk", "https://localhost:52999/healthz").returncode == 0
    assert one.systemctl("is-active", UNIT) == "active"


def test_a_store_is_made_where_there_is_none(own: Head) -> None:
    config = own.write("/root/made.ini", f"[files]\nroot = {STORE}\n")

    told = own.run("cw-headctl", "config", "apply", "--config", "/root/made.ini").stdout

    assert told.startswith(f"Made {STORE}, for root and the group clusterware-agent\n")
    assert own.run("stat", "-c", "%a %U %G", STORE).stdout.split() == ["2775", "root", "clusterware-agent"]
    config.unlink()
    own.run("cw-headctl", "config", "apply")


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        ("mkdir {0}; touch {0}/x", "the agent may not remove files of {0}: "),
        ("mkdir -m 775 {0}; touch {0}/x; chgrp clusterware-agent {0}", "the agent may not remove files of {0}: "),
        ("mkdir -m 1777 {0}; touch {0}/x; chgrp clusterware-agent {0}", "the agent may not remove files of {0}: "),
    ],
)
def test_the_way_out_that_is_told_of_a_closed_store_is_one(own: Head, prepare: str, said: str) -> None:
    place = "/srv/closed"
    own.run("sh", "-c", f"rm -rf {place}; {prepare.format(place)}")
    own.write("/root/closed.ini", f"[files]\nroot = {place}\n")
    check = ("cw-headctl", "config", "apply", "--config", "/root/closed.ini")

    told = own.run(*check, check=False)
    assert told.returncode == 3
    line = next(x for x in told.stdout.splitlines() if said.format(place) in x)
    own.run("sh", "-c", line.partition(said.format(place))[2])

    assert own.run(*check).returncode == 0
    own.run("cw-headctl", "config", "apply")


@pytest.mark.parametrize(
    ("root", "why"), [("/home/store", "sandbox hides"), ("/etc/hostname", "is not a directory"), ("/srv/link", "link")]
)
def test_a_place_that_does_not_do_is_told(own: Head, root: str, why: str) -> None:
    own.run("sh", "-c", "ln -sfn /srv/store /srv/link; mkdir -p /home/store")
    own.write("/root/odd.ini", f"[files]\nroot = {root}\n")

    told = own.run("cw-headctl", "config", "check", "--config", "/root/odd.ini", check=False)

    assert told.returncode == 3
    assert why in told.stdout


def test_a_store_is_not_made_where_others_could_put_another(own: Head) -> None:
    own.run("sh", "-c", "mkdir -p -m 1777 /srv/open")
    own.write("/root/open.ini", "[files]\nroot = /srv/open/store\n")

    told = own.run("cw-headctl", "config", "apply", "--config", "/root/open.ini", check=False)

    assert told.returncode == 1
    assert "others than root may write there" in told.stderr
    assert not own.path("/srv/open/store").exists()
