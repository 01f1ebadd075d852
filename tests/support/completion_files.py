"""Writes the completion scripts for bash and zsh from the command table: `python -m tests.support.completion_files`."""

from __future__ import annotations

from pathlib import Path

from agent.ctl.completion import bash, zsh

PLACE = Path(__file__).parents[2] / "packaging/completions"
FILES = {"cw-headctl.bash": bash, "_cw-headctl": zsh}
"""The scripts, and who makes them."""


def main() -> None:
    """Write them."""
    PLACE.mkdir(exist_ok=True)
    for name, made in FILES.items():
        (PLACE / name).write_text(made())


if __name__ == "__main__":
    main()
