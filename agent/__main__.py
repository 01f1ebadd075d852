"""The daemon's entry: arguments, --check-config, exit codes."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from agent import __version__, journald, starts
from agent.config import ConfigError, Live, load

EX_CONFIG = 78
"""Exit status of a configuration that cannot be used (sysexits.h); the unit is not restarted for it."""

DEFAULT_CONFIG = Path("/etc/clusterware-head-agent/head-agent.ini")


def parser() -> argparse.ArgumentParser:
    """The daemon's arguments."""
    parser = argparse.ArgumentParser(
        prog="clusterware-head-agent",
        description="Supervises a ClusterWare head node: its services, its file store, its records.",
        epilog="Exit status: 0 stopped in order, 1 failed, 2 wrong arguments, 75 stopped to be started again now that "
        "the database can be used, 78 the configuration cannot be used.",
    )
    parser.add_argument("--config", type=Path, default=DEFAULT_CONFIG, metavar="FILE", help="default: %(default)s")
    parser.add_argument(
        "--check-config", action="store_true", help="read the configuration, say whether it is right, and end"
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the daemon until it is told to stop; returns the exit status."""
    arguments = parser().parse_args(argv)
    try:
        config = load(arguments.config)
    except ConfigError as err:
        if arguments.check_config or not _in_journal(str(err)):
            print(f"clusterware-head-agent: {err}", file=sys.stderr)
        return EX_CONFIG
    if arguments.check_config:
        print(f"{arguments.config}: right; this head is {config.head.uid}")
        return 0
    starts.keep_memory_private()
    starts.hold_back()
    # The heads' records say whom we trust, never the machine's CA store, which aiohttp would otherwise read at import:
    # a third of the start, and some megabytes for as long as we run.
    os.environ["SSL_CERT_FILE"] = os.environ["SSL_CERT_DIR"] = os.devnull
    from agent.app import run  # the daemon's imports are not needed for the answers above

    status = asyncio.run(run(arguments.config, Live(config)))
    if status == 0:
        starts.ended_in_order()
    return status


def _in_journal(reason: str) -> bool:
    """Say in the journal, as an event like any other, that a start was refused; False where no journal is read."""
    if not journald.is_read():
        return False
    import structlog

    from agent.log import Logging

    logging = Logging("info", "journal")
    todo = "mend the file, then `systemctl restart clusterware-head-agent.socket clusterware-head-agent.service`"
    structlog.get_logger().error("Configuration refused", reason=reason, todo=todo)
    logging.close()
    return True


if __name__ == "__main__":
    sys.exit(main())
