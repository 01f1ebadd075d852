"""Commands that cw-headctl prints to be copied to a shell: nothing that a record says is more than a word in them."""

from __future__ import annotations

import base64
import shlex
from pathlib import Path

from tests.support.ctl import ONE, TWO, ctl, head
from tests.support.scripted_agent import ok, refused, scripted

ODD = "$(reboot);`id`|sh"
URL = "https://rack-a.site:52390/" + ODD
CA = f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(b'ca').decode()}\n-----END CERTIFICATE-----\n"


def test_url_and_token_in_the_command_to_join_are_a_word_each(tmp_path: Path) -> None:
    answers = {
        "GET /head/self": ok({ONE: head(ONE, "rack-a", url=URL)}),
        "GET /head/peerurl": ok({"ca_pem": CA}),
        "POST /head/token": ok({"token": ODD, "expires": "2026-11-24T00:00:00.000Z"}),
    }
    with scripted(tmp_path, answers) as agent:
        told = ctl(agent.socket, "token", "--join").stdout

    words = shlex.shlex(told, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    found = list(words)
    assert found[:6] == ["echo", ODD, "|", "cw-headctl", "join", URL]
    assert found[6:] == ["--ca-sha256", found[7], "--token-file", "-"]


def test_a_heads_name_is_no_option_of_ssh(tmp_path: Path) -> None:
    named = head(TWO, "-oProxyCommand=reboot", url="https://-oproxycommand=reboot:52390")
    with scripted(tmp_path, {"GET /heads": ok({ONE: head(ONE, "rack-a"), TWO: named})}) as agent:
        told = ctl(agent.socket, "logs", "--head", TWO).stderr

    assert "`ssh -- -oproxycommand=reboot cw-headctl logs`" in told


def test_a_services_name_in_the_command_to_look_is_one_word(tmp_path: Path) -> None:
    step = {"action": "start", "result": "failed", "detail": None, "took": 0.1}
    answer = refused(502, "cannot start", "failed", data=[{"name": ODD, "status": "down", "actions": [step]}])
    with scripted(tmp_path, {"POST /head/services": answer}) as agent:
        told = ctl(agent.socket, "services", "start", "x", "--head", TWO).stdout

    assert f"`journalctl -n 20 -u {shlex.quote(ODD)}`" in told
