"""A local user against root's command and against the agent, by exchanging places under their hands."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator

import pytest

from tests.support.heads import Head
from tests.support.heads.head import CONFIG, UNIT

STATE = "/var/lib/clusterware-head-agent"
MALLORY = ["setpriv", "--reuid=nobody", "--regid=clusterware-agent", "--clear-groups"]
"""Somebody in the store's group, who may write there."""

EXCHANGE = f"""\
import os, itertools, time
os.umask(2)
os.chdir("/srv/store")
os.makedirs("folder", exist_ok=True)
if not os.path.lexists("link"):
    os.symlink("{STATE}", "link")
made = itertools.count()
def put_back():
    while True:
        try:
            return os.rename("aside", "folder")
        except OSError:  # the agent was faster: it has made the folder that was missing, for a file to go back into
            os.rename("folder", f"made-{{next(made)}}")
for number in itertools.count():
    for name in ("agent.db", "ca.pem", "new"):
        with open(f"folder/{{name}}", "w") as file:
            file.write(str(number))
    until = time.monotonic() + 3
    while time.monotonic() < until:
        os.rename("folder", "aside"); os.rename("link", "folder")
        os.rename("folder", "link"); put_back()
"""
"""The folder in the store becomes a link to the agent's own state directory, and back, all the time."""


@pytest.fixture
def mallory(fresh: Callable[[], Head]) -> Iterator[Head]:
    """A head with a running agent, and somebody at work in its store."""
    one = fresh()
    one.start_agent()
    one.write("/usr/local/lib/exchange.py", EXCHANGE)
    at_work = subprocess.Popen(one.argv(*MALLORY, "python3", "-I", "/usr/local/lib/exchange.py"))
    try:
        yield one
        assert at_work.poll() is None, "the attack has ended before its time"
    finally:
        at_work.kill()
        at_work.wait()


def kept(head: Head) -> set[str]:
    """The names in the agent's state directory that must stay."""
    return {path.name for path in head.path(STATE).iterdir()} & {"agent.db", "ca.pem", "head.pem", "backups"}


def test_a_folder_that_is_a_link_at_times_leads_the_agent_nowhere(mallory: Head) -> None:
    before = kept(mallory)
    removed = restored = 0
    ends = time.monotonic() + 30
    while time.monotonic() < ends and min(removed, restored) < 5:
        answer = mallory.api("DELETE", "/head/files/unused?force=1")
        assert answer.status in (200, 503), answer.body
        removed += len(answer.body["data"] or ()) if answer.status == 200 else 0
        for file in (mallory.api("GET", "/head/files/trash").data or ())[:3]:
            restored += mallory.api("POST", "/head/files/restore", {"filenames": [file["filename"]]}).status == 200
    assert min(removed, restored) >= 5
    assert kept(mallory) == before
    assert not mallory.path(f"{STATE}/new").exists()
    mallory.systemctl("restart", UNIT)
    assert mallory.api("GET", "/readyz").status == 200


def test_root_gives_away_no_directory_that_another_user_pointed_at(fresh: Callable[[], Head]) -> None:
    one = fresh()
    one.configure()
    one.run("mkdir", "-m", "755", "/srv/mallory", "/victim", "/victim/store")
    one.run("chown", "nobody", "/srv/mallory")
    one.run(*MALLORY, "ln", "-s", "/victim", "/srv/mallory/place")

    for root in ("/srv/mallory/place/store", "/srv/mallory/place/new", "/srv/mallory/new/store"):
        one.write(CONFIG, f"[files]\nroot = {root}\n")
        done = one.run("cw-headctl", "config", "apply", check=False)
        assert done.returncode != 0, done
        assert "Gave" not in done.stdout
        assert "Made" not in done.stdout

    owner = one.run("stat", "-c", "%U:%G %a", "/victim/store").stdout.strip()
    assert owner == "root:root 755"
    assert one.run("ls", "/victim", "/srv/mallory").stdout.split().count("new") == 0


def test_a_link_of_roots_own_is_followed(fresh: Callable[[], Head]) -> None:
    one = fresh()
    one.configure()
    one.run("mkdir", "-p", "/data/images")
    one.run("ln", "-s", "/data", "/srv/data")
    one.write(CONFIG, "[files]\nroot = /srv/data/images/store\n")

    one.run("cw-headctl", "config", "apply")

    assert one.run("stat", "-c", "%U:%G %a", "/data/images/store").stdout.strip() == "root:clusterware-agent 2775"
