"""An agent on a Unix socket that knows one answer."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path


def _request(connection: socket.socket) -> bytes:
    with connection.makefile("rb") as stream:
        lines = list(iter(stream.readline, b"\r\n"))
        length = next((int(line.split()[1]) for line in lines if line.lower().startswith(b"content-length:")), 0)
        return b"".join([*lines, stream.read(length)])


@contextlib.contextmanager
def answering(path: Path, status: str, body: str) -> Iterator[list[bytes]]:
    """Somebody on a Unix socket who gives one answer; yields what was asked."""
    asked: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                asked.append(_request(connection))
                head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
                connection.sendall(f"{head}{body}".encode())

        thread = threading.Thread(target=answer)
        thread.start()
        yield asked
        thread.join(5)
