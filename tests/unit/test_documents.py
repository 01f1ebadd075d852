"""The documents hold: their links lead somewhere, and the commands in them are such as there are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.__main__ import parser as daemon
from agent.api.router import PREFIX, Router
from agent.api.routes import ROUTES
from agent.ctl.commands import COMMANDS, GROUPS
from agent.ctl.parser import parse
from agent.errors import AgentError
from tests.support.documents import DOCUMENTS, MESSAGES, ROOT, Said, advice, anchors, code, commands, links

ROUTER = Router(ROUTES)
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
NAMED = {*GROUPS, *(command.path for command in COMMANDS)}
"""What can be named without its arguments."""
OURS = re.compile(r"(agent|docs|tests|packaging|systemd|etc)/[\w./-]*\w/?")
OPERATION = re.compile(r"(GET|HEAD|POST|PUT|PATCH|DELETE) (/\S*)")
AGENTS = re.compile(r"https?://[\w.\[\]:-]+?(?::52390)?(/\S*)")

every = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def routed(method: str, path: str) -> str | None:
    """What is wrong with a method and a path, None when there is such a route."""
    bare = re.sub(r"<[^>]*>", "x", path.partition("?")[0]).removeprefix(PREFIX)
    try:
        ROUTER.find(method, bare)
    except AgentError as err:
        return err.reason
    return None


def typed(words: list[str], capsys: pytest.CaptureFixture[str]) -> str | None:
    """What is wrong with a command line of cw-headctl; None when it can be typed, or only names a command."""
    if not words or " ".join(words) in NAMED or {"COMMAND", "--help"} & {*words}:
        return None
    try:
        parse(words)
    except SystemExit as end:
        return capsys.readouterr().err if end.code else None
    return None


@every
def test_every_link_leads_somewhere(document: Path) -> None:
    for said in links(document):
        path, _, anchor = said.text.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), f"{said.where}: {said.text} is not there"
        if anchor:
            assert anchor in anchors(target), f"{said.where}: {said.text}: no such heading in {sorted(anchors(target))}"


@every
def test_every_command_can_be_typed(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for said, words in commands(code(document), "cw-headctl"):
        assert (wrong := typed(words[1:], capsys)) is None, f"{said.where}: {said.text}: {wrong}"
    for _, words in commands(code(document), "clusterware-head-agent"):
        if len(words) > 1 and words[1].startswith("-"):
            daemon().parse_args(words[1:])
    for said, words in commands(code(document), "make"):
        wanted = {word for word in words[1:] if "=" not in word and not word.startswith("-")}
        assert wanted <= TARGETS, f"{said.where}: {said.text}: no such target"


@every
def test_every_request_has_a_route(document: Path) -> None:
    for said, words in commands(code(document), "curl"):
        method = words[words.index("-X") + 1] if "-X" in words else "POST" if "-d" in words else "GET"
        paths = [found[1] for word in words if (found := AGENTS.fullmatch(word))]
        assert paths, f"{said.where}: {said.text}: no URL of an agent"
        assert (wrong := routed(method, paths[0])) is None, f"{said.where}: {said.text}: {wrong}"
    for said in code(document):
        if found := OPERATION.fullmatch(said.text):
            assert (wrong := routed(found[1], found[2])) is None, f"{said.where}: {said.text}: {wrong}"


@every
def test_every_file_of_ours_that_is_named_is_there(document: Path) -> None:
    for said in code(document):
        if OURS.fullmatch(said.text):
            assert (ROOT / said.text).exists(), f"{said.where}: {said.text} is not there"


def test_every_document_can_be_reached_from_the_readme() -> None:
    reached = {ROOT / "README.md"}
    pending = list(reached)
    while pending:
        document = pending.pop()
        for said in links(document):
            target = (document.parent / said.text.partition("#")[0]).resolve()
            found = set(target.glob("*.md")) if target.is_dir() else {target} & {*DOCUMENTS}
            pending += found - reached
            reached |= found
    assert {*DOCUMENTS} - reached == set()


def test_what_operators_are_told_to_type_can_be_typed(capsys: pytest.CaptureFixture[str]) -> None:
    told = [found for source in MESSAGES for found in commands(advice(source), "cw-headctl")]
    for said, words in told:
        assert (wrong := typed(words[1:], capsys)) is None, f"{said.where}: {said.text}: {wrong}"
    assert len(told) > 50


def test_the_checks_find_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = tmp_path / "x.md"
    document.write_text(
        "# A `head`ing, or two\n[a](y.md) [b](#a-heading-or-two) [c](https://x.y/z)\n\n"
        "    # cw-headctl heads lss | grep x\n\n`sudo cw-headctl files restore`, `GET /nothing` and `make nothing`\n"
    )
    assert [said.text for said in links(document)] == ["y.md", "#a-heading-or-two"]
    assert anchors(document) == {"a-heading-or-two"}
    found = [words[1:] for _, words in commands(code(document), "cw-headctl")]
    assert found == [["heads", "lss"], ["files", "restore"]]
    assert "there is no command" in (typed(found[0], capsys) or "")
    assert routed("GET", "/nothing") is not None
    assert routed("PATCH", "/api/v1/head/<uid>?x=1") is None
    assert isinstance(next(_made(document)), Said)


def _made(document: Path) -> Iterator[Said]:
    yield from (said for said, words in commands(code(document), "make") if not {*words[1:]} <= TARGETS)
