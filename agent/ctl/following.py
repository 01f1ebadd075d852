"""cw-headctl services watch: the table of services, then each change as a line, until Ctrl-C."""

from __future__ import annotations

import argparse
import http.client
import json
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from http import HTTPStatus
from typing import Any

from agent.ctl import client
from agent.ctl.outcome import Exit, Failure
from agent.ctl.show import json_text
from agent.ctl.terminal import colour, is_coloured, plain, say

_DOING = "follow the services"
_SILENCE = 45.0
"""Seconds without a word after which the connection counts as broken: the agent sends one every fifteen."""
_AGAIN = 1.0
"""Seconds between two tries to connect again."""
_COLOURS = {"up": "green", "down": "red", "gone": "yellow"}


def follow(arguments: argparse.Namespace) -> Exit:
    """Print what the agent tells; a stream that breaks off is begun anew. Raises Failure for what no waiting mends."""
    printer = _Printer(arguments.service, as_json=arguments.json)
    connected, outage = False, ""
    try:
        while True:
            try:
                for event, data in _events(arguments.agent):
                    if outage:
                        say("cw-headctl: connected again")
                    connected, outage = True, ""
                    printer.tell(event, data)
            except _Broken as broken:
                if not connected:
                    raise broken.failure from None
                if not outage:
                    say(f"cw-headctl: the stream broke off ({broken}): connecting again, Ctrl-C ends it")
                outage = str(broken)
            time.sleep(_AGAIN)
    except KeyboardInterrupt:
        return Exit.OK


class _Broken(Exception):
    """There is no stream now, and may be one later; `failure` is for whoever does not wait for that."""

    def __init__(self, why: str, failure: Failure) -> None:
        super().__init__(why)
        self.failure = failure


class _Printer:
    """Prints events, those of some services only where any are named."""

    def __init__(self, services: Collection[str], *, as_json: bool) -> None:
        self._wanted = {name.removesuffix(".service") for name in services}
        self._json = as_json
        self._width = 0

    def tell(self, event: str, data: Any) -> None:
        """Print one event; raises Failure for a service that there is not."""
        if event == "table":
            rows = [row for row in data if self._is_wanted(row)]
            self._check(rows)
            self._print({"event": event, "services": rows}, rows)
        elif event == "lost":
            if self._json:
                self._print({"event": event, "reason": data["reason"]}, [])
            else:
                say(f"cw-headctl: the agent does not hear systemd: {data['reason']}; the table follows when it does")
        elif self._is_wanted(data):
            self._print({"event": event, "service": data}, [data])

    def _is_wanted(self, row: dict[str, Any]) -> bool:
        return not self._wanted or row["name"] in self._wanted

    def _check(self, rows: Sequence[dict[str, Any]]) -> None:
        if unknown := sorted(self._wanted - {row["name"] for row in rows}):
            raise Failure(
                f"cannot {_DOING}: this head has no service {unknown[0]}: `cw-headctl services` lists them", Exit.USAGE
            )

    def _print(self, event: dict[str, Any], rows: Sequence[dict[str, Any]]) -> None:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        if self._json:
            print(json_text({"time": at, **event}), flush=True)
            return
        self._width = max([self._width, *(len(row["name"]) for row in rows)])
        for row in rows:
            print(self._line(at, row))
        sys.stdout.flush()

    def _line(self, at: str, row: dict[str, Any]) -> str:
        status = plain(str(row.get("status", "gone")))
        shown = colour(status, _COLOURS.get(status)) if is_coloured(sys.stdout) else status
        state = f"{row['active_state']} ({row['sub_state']})" if "active_state" in row else "-"
        return f"{at}  {plain(row['name']):{self._width}}  {shown}{' ' * (4 - len(status))}  {plain(state):24}" + (
            f"  {plain(row['result'])}" if row.get("result") else ""
        )


def _events(agent: client.Agent) -> Iterator[tuple[str, Any]]:
    """The events of one connection until it breaks; raises _Broken, or Failure where asking again is no use."""
    connection = http.client.HTTPConnection("localhost")
    try:
        response = client.send(connection, agent, "GET", "/head/services/events", timeout=_SILENCE)
        if response.status != 200:
            _refused(response, agent)
        for name, data in _parsed(response):
            if name == "end":
                raise _Broken(data["reason"], Failure(f"cannot {_DOING}: {data['reason']}: try again"))
            yield name, data
        raise http.client.RemoteDisconnected("the agent ended it")
    except (OSError, http.client.HTTPException) as err:
        failure = client.unreachable(err, agent, _DOING, _SILENCE)
        if failure.status is Exit.DENIED:
            raise failure from None
        raise _Broken(getattr(err, "strerror", None) or str(err) or "no answer", failure) from None
    finally:
        connection.close()


def _refused(response: http.client.HTTPResponse, agent: client.Agent) -> None:
    """Raises what is to be told: _Broken where the agent may have a stream later, as when it is just starting."""
    try:
        client.check(response.status, client.read(response.status, response.read(), _DOING), _DOING, agent)
    except Failure as failure:
        if response.status == HTTPStatus.SERVICE_UNAVAILABLE:
            raise _Broken(str(failure), failure) from None
        raise


def _parsed(response: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    """Server-Sent Events as the agent writes them: one line of data each."""
    name = ""
    while line := response.readline():
        field, _, value = line.decode().rstrip("\n").partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)
