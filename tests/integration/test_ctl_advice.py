"""Commands that cw-headctl prints to be copied to a shell: nothing that a record says is more than a word in them."""

from __future__ import annotations

import base64
import shlex
from pathlib import Path

from tests.support.ctl import ONE, TWO, ctl, head
from tests.support.scripted_agent import ok, scripted

URL = "https://rack-a.site:52390/$(reboot);`id`|sh"
CA = f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(b'ca').decode()}\n-----END CERTIFICATE-----\n"


def test_the_url_in_the_command_to_join_is_one_word(tmp_path: Path) -> None:
    answers = {
        "GET /head/self": ok({ONE: head(ONE, "rack-a", url=URL)}),
        "GET /head/peerurl": ok({"ca_pem": CA}),
        "POST /head/token": ok({"token": "abc", "expires": "2026-11-24T00:00:00.000Z"}),
    }
    with scripted(tmp_path, answers) as agent:
        told = ctl(agent.socket, "token", "--join").stdout

    words = shlex.shlex(told, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    found = list(words)
    assert found[:6] == ["echo", "abc", "|", "cw-headctl", "join", URL]
    assert found[6:] == ["--ca-sha256", found[7], "--token-file", "-"]


def test_a_heads_name_is_no_option_of_ssh(tmp_path: Path) -> None:
    named = head(TWO, "-oProxyCommand=reboot", url="https://-oproxycommand=reboot:52390")
    with scripted(tmp_path, {"GET /heads": ok({ONE: head(ONE, "rack-a"), TWO: named})}) as agent:
        told = ctl(agent.socket, "logs", "--head", TWO).stderr

    assert "`ssh -- -oproxycommand=reboot cw-headctl logs`" in told
