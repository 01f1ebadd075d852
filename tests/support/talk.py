"""One TLS connection from another machine to a head, kept open from request to request.

Run as a program there, this is its far end: each line of standard input is a request, each line of standard output
its answer; a broken connection is one too.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.described import check
from tests.support.heads import Head, Host
from tests.support.heads.layers import CHECKOUT


class Answer:
    """What came back."""

    def __init__(self, told: dict[str, Any]) -> None:
        assert "broken" not in told, told
        self.status: int = told["status"]
        self.headers = {name.lower(): value for name, value in told["headers"].items()}
        self.text: str = told["body"]
        is_json = self.headers.get("content-type", "").startswith("application/json")
        self.body: Any = json.loads(self.text) if self.text and is_json else {}

    @property
    def refusal(self) -> tuple[int, str]:
        """Status and code."""
        assert self.body["success"] is False
        assert self.body["reason"]
        return self.status, self.body["code"]


class Talk:
    """One TLS connection from another machine to a head, kept open from request to request."""

    def __init__(self, host: Host, head: Head, certificate: Path | None = None, token: str = "") -> None:
        argv = [sys.executable, "-m", "tests.support.talk", head.address]
        argv += ["--certificate", str(certificate)] if certificate else []
        self._program = subprocess.Popen(
            host.argv(*argv), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT
        )
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """The answer to one request; `_` in a header's name stands for `-`. Fails when the connection is broken."""
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        sent = body if isinstance(body, str | None) else json.dumps(body)
        given = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        request = {"method": method, "path": path, "body": sent, "headers": given}
        self._program.stdin.write(json.dumps(request) + "\n")
        self._program.stdin.flush()
        answer = Answer(json.loads(self._program.stdout.readline()))
        check(method, path, answer.status, answer.headers, answer.text)
        return answer

    def close(self) -> None:
        """End the program, and the connection with it."""
        self._program.communicate()


def talk(address: str, certificate: str | None) -> None:
    """Answer every line until standard input ends."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    if certificate:
        tls.load_cert_chain(certificate)
    sock = tls.wrap_socket(socket.create_connection((address, 52390), timeout=60))
    connection = http.client.HTTPConnection("head")
    connection.auto_open = 0
    connection.sock = sock
    for line in sys.stdin:
        print(json.dumps(_ask(connection, json.loads(line))), flush=True)


def _ask(connection: http.client.HTTPConnection, request: dict[str, Any]) -> dict[str, Any]:
    try:
        connection.request(request["method"], request["path"], request["body"], request["headers"])
        response = connection.getresponse()
        text = response.read().decode()
        return {"status": response.status, "headers": dict(response.getheaders()), "body": text}
    except (OSError, http.client.HTTPException) as err:
        return {"broken": f"{type(err).__name__}: {err}"}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("--certificate")
    given = parser.parse_args()
    talk(given.address, given.certificate)
