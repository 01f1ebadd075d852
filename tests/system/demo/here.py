"""The agent on this very machine: installed, started, and taken away again."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from tests.support.heads.layers import CHECKOUT

UNITS = ("clusterware-head-agent.socket", "clusterware-head-agent.service")
ENGINE = "clusterware-head-agent-etcd.service"
"""Started by the agent, where it is told to migrate."""
CONFIG = Path("/etc/clusterware-head-agent/head-agent.ini")
_CURL = "curl -s --unix-socket /run/clusterware-head-agent.sock"
_JSON = "| python3 -m json.tool"
_RENDERED = (
    Path("/etc/polkit-1/rules.d/60-clusterware-head-agent.rules"),
    Path("/etc/systemd/system/clusterware-head-agent.service.d"),
    Path("/etc/systemd/system/clusterware-head-agent.socket.d"),
    Path("/etc/systemd/system/clusterware-head-agent-etcd.service.d"),
)
_STATE = Path("/var/lib/clusterware-head-agent")
_SOCKET = Path("/run/clusterware-head-agent.sock")
"""It stays when its unit stops, so that a stop in the wrong moment cannot make the agent unreachable."""


@contextlib.contextmanager
def agent() -> Iterator[list[tuple[str, str]]]:
    """Install and start the agent here; yields commands to try. At the end it is removed again."""
    if Path("/usr/sbin/clusterware-head-agent").exists():
        raise RuntimeError(
            "cannot install the agent: one is installed on this machine already: see `cw-headctl services`"
        )
    if _STATE.exists():
        raise RuntimeError(f"cannot install the agent: {_STATE} holds another's state: move it away first")
    print("Installing the agent on this machine ...", flush=True)
    with contextlib.ExitStack() as undo:
        undo.callback(_remove_what_it_made)
        _install(undo)
        _run("systemd-sysusers")
        _configure(undo)
        _run("cw-headctl", "config", "apply", allowed=(0, 3))
        _run("systemctl", "daemon-reload")
        undo.callback(_run, "systemctl", "stop", *UNITS, ENGINE, allowed=range(256))
        print("Starting it ...", flush=True)
        _run("systemctl", "start", *UNITS)
        yield [
            ("This machine's services, as far as they are the platform's", "cw-headctl services"),
            ("The same from the API", f"{_CURL} http://head/head/services {_JSON}"),
            ("Files that nothing refers to", f"{_CURL} http://head/head/files/unused {_JSON}"),
            ("The heads", f"{_CURL} http://head/heads {_JSON}"),
            ("What a database clean would do", f"{_CURL} http://head/database/clean {_JSON}"),
            ("The agent's journal", "journalctl --no-pager -u clusterware-head-agent"),
            ("Its sandbox, judged by systemd", "systemd-analyze security --no-pager clusterware-head-agent"),
        ]


def _install(undo: contextlib.ExitStack) -> None:
    """Lay the files out beside, then here, so that exactly these can be removed."""
    with tempfile.TemporaryDirectory() as laid:
        _run("make", "--no-print-directory", "-C", str(CHECKOUT), "install", f"DESTDIR={laid}")
        for file in sorted(Path(laid).rglob("*")):
            target = Path("/") / file.relative_to(laid)
            if file.is_dir() and not file.is_symlink():
                if not target.exists():
                    target.mkdir()
                    undo.callback(_remove_directory, target)
            else:
                undo.callback(target.unlink, missing_ok=True)
                shutil.copy2(file, target, follow_symlinks=False)


def _configure(undo: contextlib.ExitStack) -> None:
    """Without the platform's base.ini this machine needs a uid and a store of its own."""
    if Path("/opt/scyld/clusterware/conf/base.ini").exists():
        return
    store = Path(tempfile.mkdtemp(prefix="clusterware-store-", dir="/srv"))
    undo.callback(shutil.rmtree, store)
    CONFIG.write_text(f"[head]\nuid = {uuid4().hex}\n\n[files]\nroot = {store}\n")


def _remove_what_it_made() -> None:
    for path in (*_RENDERED, _STATE, _SOCKET):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    _run("systemctl", "daemon-reload")
    _run("userdel", "clusterware-agent", allowed=range(256))
    for group in ("clusterware-agent", "clusterware-admin"):
        _run("groupdel", group, allowed=range(256))


def _remove_directory(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.rmdir()


def _run(*argv: str, allowed: object = (0,)) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert isinstance(allowed, (tuple, range))
    if done.returncode not in allowed:
        raise RuntimeError(f"cannot {' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
