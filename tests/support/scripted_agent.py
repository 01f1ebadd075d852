"""An agent on a Unix socket that gives written answers, by method and path, and keeps what it was asked."""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from typing_extensions import override

Envelope = tuple[int, dict[str, Any]]


@dataclass(frozen=True)
class Asked:
    """One request; `head` is its X-Head."""

    route: str
    """Method and path without /api/v1, as "GET /heads"."""
    head: str | None
    authorization: str | None
    body: Any


@dataclass
class Script:
    """Where the agent listens, and what it was asked."""

    socket: Path
    asked: list[Asked] = field(default_factory=list)

    @property
    def routes(self) -> list[str]:
        """The routes asked for, in their order."""
        return [asked.route for asked in self.asked]


def ok(data: Any, **beside: Any) -> Envelope:
    """A success; `stale` is its X-Stale."""
    return 200, {"success": True, "data": data, **beside}


def refused(status: int, reason: str, code: str = "no", **beside: Any) -> Envelope:
    """A failure."""
    return status, {"success": False, "reason": reason, "code": code, **beside}


Answers = Mapping[str, Envelope | Callable[[Asked], Envelope]]


@contextlib.contextmanager
def scripted(directory: Path, answers: Answers) -> Iterator[Script]:
    """The agent, until the end of the block; what it has no answer for is 404."""
    script = Script(directory / "s")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        @override
        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            length = int(self.headers.get("Content-Length", 0))
            raw = self.rfile.read(length)
            route = f"{self.command} {self.path.removeprefix('/api/v1')}"
            body = json.loads(raw) if raw else None
            asked = Asked(route, self.headers.get("X-Head"), self.headers.get("Authorization"), body)
            script.asked.append(asked)
            answer = answers.get(route, refused(404, f"there is no {route} here"))
            status, envelope = answer(asked) if callable(answer) else answer
            stale = f"X-Stale: {envelope['stale']}\r\n" if "stale" in envelope else ""
            content = json.dumps(envelope).encode()
            self.wfile.write(
                f"HTTP/1.1 {status} X\r\n{stale}Content-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode()
                + content
            )
            self.close_connection = True

        @override
        def address_string(self) -> str:
            return "local"

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = False

    with Server(str(script.socket), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield script
        finally:
            server.shutdown()
            thread.join()
