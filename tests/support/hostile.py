"""Bad input of every kind for an HTTP interface, and what must hold of each answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

from agent.api.call import Route

SECONDS = 10.0
"""In which every request must be answered."""

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "X" * 500)

UID = "f" * 32

SSH_PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE+K4PphrlGRQ1UlmZ7y0nXWn1W1tZAvZxrXrzuoCAtf"

PARAMETERS = (
    UID,
    "F" * 32,
    "nobody",
    "..",
    ".",
    "%2e%2e",
    "%2e%2e%2fetc%2fpasswd",
    "%00",
    "a%00b",
    "%ff%fe",
    "%",
    "%zz",
    "*",
    "{uid}",
    "'; DROP TABLE record; --",
    "\u202e\U0001f600",
    "a" * 4000,
    "self",
    "meta",
    "null",
    "-1",
)

QUERIES = (
    "dry_run=maybe",
    "dry_run=1&dry_run=2",
    "dry_run=%00",
    "dry_run=%ff",
    "force=",
    "force=yes&dry_run",
    "=",
    "&&&",
    "%",
    "nonsense=1",
    "a=" + "b" * 4000,
    "a=1&" * 1000,
    "dry_run[]=1",
)

HEADERS: tuple[Sequence[tuple[str, str]], ...] = (
    [("If-Match", "nonsense")],
    [("If-Match", '"' + "9" * 5000 + '"')],
    [("If-Match", '"18446744073709551616"')],
    [("If-Match", '"-1"')],
    [("If-Match", '"1", "2"')],
    [("If-Match", "")],
    [("If-Match", '"1"'), ("If-Match", '"2"')],
    [("If-Match", "\u00b2")],
    [("X-Request-Id", "x" * 5000)],
    [("X-Request-Id", "a\tb")],
    [("X-Request-Id", "\u00e9")],
    [("X-Request-Id", "a"), ("X-Request-Id", "b")],
    [("Authorization", "Bearer")],
    [("Authorization", "Bearer " + "e30." * 1000)],
    [("Authorization", "Basic Zm9vOmJhcg==")],
    [("Authorization", "Bearer a"), ("Authorization", "Bearer b")],
    [("Content-Type", "multipart/form-data; boundary=x")],
    [("Content-Encoding", "gzip")],
    [("Content-Encoding", "br, zstd")],
    [("Accept", "text/html"), ("Accept-Encoding", "\u00ff")],
    [("Range", "bytes=9-1")],
    [("Upgrade", "websocket"), ("Sec-WebSocket-Key", "x"), ("Sec-WebSocket-Version", "99")],
    [("X-Head", UID), ("X-Forwarded-For", "127.0.0.1"), ("Forwarded", "for=127.0.0.1")],
    [("Host", "a"), ("Host", "b")],
    [("Cookie", "a=" + "b" * 4000)],
)

BODIES: tuple[bytes, ...] = (
    b"",
    b" ",
    b"null",
    b"true",
    b"0",
    b'""',
    b"[]",
    b"[{}]",
    b"{}",
    b"{",
    b"{}{}",
    b'{"a":1,}',
    b"{'a':1}",
    b'{"a":NaN}',
    b'{"a":1e999}',
    b'{"a":-0,"a":2}',
    b'{"a":' + b"9" * 5000 + b"}",
    b'{"a":"\\ud800"}',
    b'{"\\u0000":"\\u0000"}',
    b"\xff\xfe\x00{",
    b"\xef\xbb\xbf{}",
    b'{"a":"\x00"}',
    b"[" * 100_000,
    b'{"a":' * 20_000,
    b'{"a":' + b"[" * 900 + b"]" * 900 + b"}",
    b"dry_run=1&force=1",
    b"\x1f\x8b\x08\x00garbage",
    b'{"a":"' + b"x" * 1_100_000 + b'"}',
)

VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**63,
    2**64,
    1e308,
    0.1,
    "",
    " ",
    "\0",
    "x",
    "../../etc/passwd",
    "/etc/passwd",
    "\u202e\U0001f600\n",
    "x" * 70_000,
    [],
    [None],
    [[[]]],
    {},
    {"": None},
    {"filename": "../../etc/passwd"},
    {"filename": "\0"},
    {"filename": "x" * 5000, "size": -1, "chksum": [], "mtime": 0},
    ["start", "start", 7],
)

NAMES = ("uid", "name", "filename", "success", "", "\0", "__class__", "x" * 5000)

RAW: tuple[bytes, ...] = (
    b"\0" * 1000,
    b"GET\r\n\r\n",
    b"GET /healthz\r\n\r\n",
    b"GET /healthz HTTP/9.9\r\nHost: x\r\n\r\n",
    b"GET  /healthz  HTTP/1.1\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nNo colon\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHo st: x\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\n: x\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nX: a\0b\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\n" + b"X: a\r\n" * 20_000 + b"\r\n",
    b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n",
    b"GET http://[::1/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET //healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET http://elsewhere:99999/healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"POST /database/clean HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"POST /database/clean HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
    b"POST /database/clean HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
    b"POST /database/clean HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /database/clean HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    b"POST /database/clean HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    b"2\r\n{}\r\n0\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
)


@dataclass(frozen=True)
class Reply:
    """One answer, taken apart."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def exchange(socket: Path, data: bytes) -> Reply:
    """Send bytes as they stand and read the answer to the end of the connection; raises TimeoutError."""
    async with asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_unix_connection(str(socket))
        try:
            writer.write(data)
            return taken_apart(await reader.read())
        finally:
            writer.close()


def taken_apart(answer: bytes) -> Reply:
    """The last answer in what came back; an interim 100 Continue before it is passed over."""
    while answer.startswith(b"HTTP/1.1 100"):
        answer = answer.partition(b"\r\n\r\n")[2]
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return Reply(int(first.split()[1]), headers, body)


def request(method: str, target: str, headers: Sequence[tuple[str, str]] = (), body: bytes = b"") -> bytes:
    """One request, as it stands on the wire, that asks for the connection to be closed."""
    lines = [f"{method} {target} HTTP/1.1", "Connection: close", f"Content-Length: {len(body)}"]
    if not any(name == "Host" for name, _ in headers):
        lines.append("Host: head")
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def faults(sent: bytes, reply: Reply, secrets: Sequence[str]) -> Iterator[str]:
    """What is wrong with an answer: 500, not JSON, not in the envelope, or telling what is nobody's business."""
    what = f"{sent[:150]!r} -> {reply.status} {reply.body[:200]!r}"
    if reply.status == 500:
        yield f"500: {what}"
    if not reply.headers.get("content-type", "").startswith("application/json"):
        yield f"not JSON by its header: {what}"
    if not reply.headers.get("x-request-id"):
        yield f"no X-Request-Id: {what}"
    if any(secret in reply.body.decode(errors="replace") for secret in secrets) or b"Traceback" in reply.body:
        yield f"tells too much: {what}"
    if sent.startswith(b"HEAD "):
        return
    try:
        document = json.loads(reply.body)
    except ValueError:
        yield f"not JSON: {what}"
        return
    if "openapi" in document:
        return
    if document.get("success") is not (reply.status < 400):
        yield f"no envelope: {what}"
    elif reply.status >= 400 and not (document.get("reason") and document.get("code")):
        yield f"no reason or code: {what}"


def targets(route: Route) -> Iterator[str]:
    """Paths that lead to a route, with parameters of every kind."""
    if "{" not in route.path:
        yield route.path
        return
    stem, _, rest = route.path.partition("{")
    for parameter in PARAMETERS:
        yield stem + quote(parameter, safe="%*{}.'") + rest.partition("}")[2]


def bodies(fields: Sequence[str]) -> Iterator[bytes]:
    """Broken bodies, and whole ones in which one field after the other, known or not, has values of every kind."""
    yield from BODIES
    for name in (*fields, *NAMES):
        for value in VALUES:
            yield json.dumps({name: value}).encode()
            if whole := sound(fields):
                yield json.dumps({**whole, name: value}).encode()
    for value in VALUES if fields else ():
        yield json.dumps(dict.fromkeys(fields, value)).encode()


_numbers = count()


def sound(fields: Sequence[str]) -> dict[str, Any]:
    """A body that is as it must be, each time another one."""
    number = next(_numbers)
    known = {"uid": f"{number:032d}", "name": f"hostile-{number}", "ssh_public": SSH_PUBLIC}
    return {name: value for name, value in known.items() if name in fields}


def requests(route: Route, fields: Sequence[str]) -> Iterator[bytes]:
    """Everything bad that a route can be sent; what is at `UID` is sent the most of it."""
    plain = next(iter(targets(route)))
    for target in targets(route):
        yield request(route.method, target)
        yield request(route.method, "/api/v1" + target)
    for query in QUERIES:
        yield request(route.method, f"{plain}?{query}")
    for headers in HEADERS:
        yield request(route.method, plain, headers, b"{}")
    for method in METHODS:
        if method not in ("POST", "PUT", "PATCH", "DELETE") or method == route.method:
            yield request(method, plain)
    if route.method in ("POST", "PUT", "PATCH"):
        for body in bodies(fields):
            yield request(route.method, plain, (), body)
