"""Two heads over real TLS, each with objects of its own: what either refers to stays on both, or nothing goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.company import HeadDaemon, eventually, head
from tests.support.files import present, write


def _head(directory: Path, number: int) -> HeadDaemon:
    """A head whose files may be a second old."""
    made = head(directory, number)
    made.config.write_text(made.config.read_text().replace("[files]\n", "[files]\nmin_age = 1s\n"))
    write(made.directory / "store", ["of one", "of two", "of nobody"])
    return made


async def _unused(asked: HeadDaemon, query: str = "") -> dict[str, Any]:
    return (await asked.ask("GET", f"/head/files/unused{query}"))[1]


async def test_what_any_head_refers_to_stays_on_every_head_until_that_head_is_removed(tmp_path: Path) -> None:
    with _head(tmp_path, 1).running() as first:
        with _head(tmp_path, 2).running() as second:
            assert (await second.join(first))[0] == 200
            for one, name in ((first, "of one"), (second, "of two")):
                await one.data("POST", "/images", {"name": name, "content": {"filename": name}})
                await eventually(one.heads, lambda heads: [h["state"] for h in heads.values()] == ["up", "up"])

            answer = await eventually(
                lambda: _unused(first, "?scope=cluster"), lambda answer: all(d["data"] for d in answer["data"].values())
            )
            assert answer["meta"]["failed"] == []
            listed = {uid: [row["filename"] for row in shown["data"]] for uid, shown in answer["data"].items()}
            assert listed == {first.uid: ["of nobody"], second.uid: ["of nobody"]}

            answer = (await first.ask("DELETE", "/head/files/unused?scope=cluster"))[1]
            assert answer["meta"]["failed"] == []
            assert all(present(one.directory / "store") == {"of one", "of two"} for one in (first, second))

        write(first.directory / "store", ["new"])
        status, answer = await first.ask("DELETE", "/head/files/unused?force=1")
        assert (status, answer["code"]) == (503, "head-not-asked")
        assert f"DELETE /head/{second.uid}" in answer["reason"]
        status, answer = await first.ask("GET", "/head/files/unused")
        assert (status, answer["code"]) == (503, "head-not-asked")

        await eventually(first.heads, lambda heads: heads[second.uid]["state"] == "down")
        await first.data("DELETE", f"/head/{second.uid}")
        await eventually(lambda: _unused(first), lambda answer: len(answer.get("data", [])) == 2)
        await first.data("DELETE", "/head/files/unused?force=1")
        assert present(first.directory / "store") == {"of one"}
