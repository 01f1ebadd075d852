"""The command table: everything that cw-headctl can be told to do.

Parser, help, completion and manual are made from it, and a test walks it. To add a command:

1. Write a row in the module of its noun: its words, the function as `module:function` of agent.ctl, one line of
   summary, its reach.
2. Write that function: it is given the parsed arguments, asks with `ask(arguments.agent, ...)` (agent.ctl.client) and
   returns an Outcome (agent.ctl.outcome): data for --json, columns, rows and lines for people, the exit status.
   It prints nothing, so --json, --all-heads and --watch work by themselves. Raise Failure for what cannot be done.
   One that writes for as long as it lasts is marked `streams`, prints by itself and returns an Exit.
   What changes anything is marked `changes`; where somebody should agree first, `plan` names what returns a Plan.
   Import nothing heavy at the top of the module: the command has to start within 1.5 times of a bare http.client.
3. Name the shape of its `--json` in docs/cw-headctl.md, and run `python -m tests.support.completion_files`.

The options for every command (--json, --head, --watch ...) are not in the rows: see agent.ctl.parser.
"""

from __future__ import annotations

from agent.ctl.command import Command
from agent.ctl.commands import cluster, config, database, files, head, heads, services

GROUPS = {
    "heads": "The heads of the cluster: who is up, who is heard by whom; removing one",
    "services": "The services of a head",
    "files": "The file store: what is unused, what was removed, bringing it back",
    "database": "The database: examining and cleaning it, its backups, all records as a file, its engine",
    "config": "The configuration, and the files of root's that follow it",
    "ca": "The cluster's CA, which issues the heads' certificates",
}
"""The first words of two, and what they are about."""

COMMANDS: tuple[Command, ...] = (
    *head.ROWS,
    *heads.ROWS,
    *services.ROWS,
    *files.ROWS,
    *database.ROWS,
    *cluster.ROWS,
    *config.ROWS,
)
