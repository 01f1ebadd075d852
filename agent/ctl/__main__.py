"""The entry of cw-headctl: arguments, and failures as one line with an exit status."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

from agent.ctl.client import Agent, Exit, Failure
from agent.ctl.parser import parser


def main(argv: list[str] | None = None) -> int:
    """Do one command; returns the exit status."""
    words = sys.argv[1:] if argv is None else argv
    arguments = parser(words).parse_args(words)
    arguments.agent = Agent(Path(arguments.socket), arguments.head)
    module, _, function = arguments.command.run.partition(":")
    try:
        return int(getattr(importlib.import_module(f"agent.ctl.{module}"), function)(arguments))
    except Failure as failure:
        print(f"cw-headctl: {failure}", file=sys.stderr)
        return failure.status
    except BrokenPipeError:
        return Exit.OK
    except KeyboardInterrupt:
        return Exit.FAILED


if __name__ == "__main__":
    sys.exit(main())
