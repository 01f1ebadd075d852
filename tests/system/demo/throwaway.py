"""The agent in a throw-away head, with services, a file store and the objects that refer to it."""

from __future__ import annotations

import contextlib
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.support.heads import Head, Heads
from tests.support.heads.head import SOCKET, wait_for
from tests.system.demo import images, services

RUN = Path("build/run")
_CURL = f"curl -s --unix-socket {RUN}/agent.sock"
_JSON = "| python3 -m json.tool"


def furnish(head: Head) -> None:
    """Give a head its services."""
    head.write(services.PROGRAM, services.PROGRAM_TEXT, 0o755)
    for name, text in services.UNITS.items():
        head.write(f"/etc/systemd/system/{name}", text)
    head.systemctl("daemon-reload")
    head.systemctl("enable", "--now", *services.STARTED)


def create_objects(head: Head) -> None:
    """Create the objects that refer to the store's files, through the API."""
    for path, body in images.OBJECTS:
        answer = head.api("POST", path, body)
        if answer.status != 201:
            raise RuntimeError(f"cannot create the demo's objects: POST {path}: {answer.body}")


@contextlib.contextmanager
def agent(heads: Heads) -> Iterator[list[tuple[str, str]]]:
    """Boot a head with everything; yields commands to try, each with its meaning."""
    print("This machine is not booted with systemd: booting a throw-away head ...", flush=True)
    head = heads.boot("head1")
    print("Starting a few services, making real images, starting the agent ...", flush=True)
    furnish(head)
    head.start_agent()
    images.make(head.path(head.store))
    create_objects(head)
    wait_for(lambda: len(head.api("GET", "/head/files/unused").data) == len(images.UNUSED), "files of [files] min_age")
    shutil.rmtree(RUN, ignore_errors=True)
    RUN.mkdir(parents=True)
    try:
        (RUN / "agent.sock").symlink_to(head.path(SOCKET))
        script = f'#!/bin/sh\n# Runs a command as root in the head.\nexec {shlex.join(head.argv())} "$@"\n'
        (RUN / "in-head").write_text(script)
        (RUN / "in-head").chmod(0o755)
        yield _commands(head)
    finally:
        shutil.rmtree(RUN, ignore_errors=True)


def _commands(head: Head) -> list[tuple[str, str]]:
    inside = f"{RUN}/in-head"
    post = f"{_CURL} http://head/head/services -d"
    return [
        ("The head's services, live", f"{_CURL} http://head/head/services {_JSON}"),
        ("Stop one and look again", f"""{post} '{{"status": "stop", "services": ["clusterware-dhcpd"]}}' {_JSON}"""),
        ("The same for people; 3 when one is down", f"{inside} cw-headctl services"),
        ("Enable and start others", f"{inside} cw-headctl services enable --now chronyd clusterware-dhcpd"),
        ("This head on one screen; 3 when there is something to act on", f"{inside} cw-headctl status"),
        ("Files that nothing refers to", f"{inside} cw-headctl files unused"),
        ("Remove them (to a trash)", f"{inside} cw-headctl files rm --yes"),
        ("Bring one back", f"{inside} cw-headctl files restore {images.UNUSED[-1]}"),
        ("What refers to files", f"{_CURL} http://head/images {_JSON}"),
        ("What a database clean would do", f"{inside} cw-headctl database clean --dry-run"),
        ("All records as a file", f"{inside} cw-headctl database save -"),
        ("Who is down: with one head, nobody", f"{_CURL} http://head/heads/down {_JSON}"),
        (
            "From the network, with a token",
            f"{inside} sh -c 'curl -sk -H \"Authorization: Bearer $(cw-headctl token --lifespan 1h"
            f" --permissions HeadsRead)\" https://{head.address}:52390/api/v1/heads' {_JSON}",
        ),
        ("The agent's journal", f"{inside} journalctl --no-pager -u clusterware-head-agent"),
        ("Its sandbox, judged by systemd", f"{inside} systemd-analyze security --no-pager clusterware-head-agent"),
    ]
