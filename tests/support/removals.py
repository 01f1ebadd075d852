"""A process that removes unused files, to be killed or to be somebody else: `python -m tests.support.removals`.

Arguments: the store, a file of references (one a line), what to do (unused, remove, tidy, problem), a user id.
The last line that it prints is JSON.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from agent.adapters.filestore.directory import DirectoryStore
from agent.errors import AgentError
from tests.support.files import FilesRoom, SetReferences

ROOT = Path(__file__).parents[2]


def start(store: Path, references: Path, what: str, uid: int = 0) -> subprocess.Popen[bytes]:
    """Start the process."""
    command = [sys.executable, "-m", "tests.support.removals", str(store), str(references), what, str(uid)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)


def run(store: Path, references: Path, what: str, uid: int = 0) -> Any:
    """Run it to its end; what it printed."""
    with start(store, references, what, uid) as process:
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return msgspec.json.decode(out.splitlines()[-1])


async def main(store: Path, references: Path, what: str, uid: int) -> dict[str, Any]:
    """Do it as that user."""
    names = references.read_text().splitlines()
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    files = DirectoryStore(store)
    room = FilesRoom(files, SetReferences(set(names), batch=5000))
    try:
        await files.prepare()
        match what:
            case "unused":
                return {"unused": await room.unused(), "kept": await room.kept()}
            case "remove":
                removal = await room.collector.remove(force=True)
                return {"removed": [row.filename for row in removal.removed], "kept": removal.kept}
            case "tidy":
                await room.collector.trash.tidy()
                return {"trash": [file.filename for file in await room.collector.trash.listing()]}
            case _:
                return {"problem": await room.collector.problem()}
    except AgentError as err:
        return {"error": type(err).__name__, "reason": err.reason}
    finally:
        files.close()


if __name__ == "__main__":
    answer = asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
    print(msgspec.json.encode(answer).decode())
