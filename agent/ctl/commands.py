"""The command table: everything that cw-headctl can be told to do.

Parser, help, completion and manual are made from it, and a test walks it. To add a command:

1. Write a row here: its words, the function as `module:function` of this package, one line of summary, its reach.
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

from agent.ctl.command import Argument, Command, Reach

_UID = Argument("uid", "which head", "UID", "?", "self", complete="heads")
_SERVICE = Argument("service", "a name as `cw-headctl services` lists it", "SERVICE", "+", complete="services")
_VERBS = {
    "start": None,
    "stop": None,
    "restart": None,
    "reload": None,
    "enable": "start",
    "disable": "stop",
}
"""What can be done to services, and what --now adds to it."""
_DRY_RUN = Argument("--dry-run", "only say what would be done")
_CONFIG = Argument(
    "--config",
    "the configuration file (default: %(default)s)",
    "FILE",
    default="/etc/clusterware-head-agent/head-agent.ini",
    complete="file",
)

GROUPS = {
    "heads": "The heads of the cluster: who is up, who is heard by whom; removing one",
    "services": "The services of a head",
    "files": "The file store: what is unused, what was removed, bringing it back",
    "database": "The database: examining and cleaning it, its backups, all records as a file, its engine",
    "config": "The configuration, and the files of root's that follow it",
    "ca": "The cluster's CA, which issues the heads' certificates",
}
"""The first words of two, and what they are about."""

_ACTIONS = tuple(
    Command(
        f"services {action}",
        "services:act",
        f"{action.capitalize()} services, and wait for what systemd made of it",
        Reach.HEADS,
        arguments=(_SERVICE, *((Argument("--now", f"{also} them too"),) if also else ())),
        changes=True,
    )
    for action, also in _VERBS.items()
)

COMMANDS: tuple[Command, ...] = (
    Command(
        "status",
        "status:status",
        "Show this head and the cluster on one screen, the worst first",
        Reach.HEADS,
        degraded="anything is not well",
    ),
    Command(
        "doctor",
        "doctor:examine",
        "Say what is wrong and what to do, also when no agent answers",
        Reach.HEADS,
        arguments=(_CONFIG,),
        degraded="anything is not well",
    ),
    Command(
        "logs",
        "logs:logs",
        "Show what the agent of this head has said, the newest lines",
        Reach.HEADS,
        arguments=(
            Argument("--follow", "go on showing new lines", short="-f"),
            Argument("--lines", "how many, or all (default: 100, and all with --since)", "N", short="-n"),
            Argument("--since", "from when on, such as -1h, today or 2026-11-24", "TIME"),
            Argument("--unit", "only what is about that service", "SERVICE", complete="services"),
            Argument("--request", "only the lines of that request, by its X-Request-Id", "ID"),
            Argument("--peer", "only what that head asked for; also an address, or local", "UID", complete="heads"),
            Argument("--head-uid", "only what is about that head", "UID", complete="heads"),
            Argument("--audit", "only who changed what, and who was denied"),
            Argument("--priority", "only lines of this level and worse, such as warning", "LEVEL", short="-p"),
            Argument("--explain", "with each line's entry of the catalog: what happened, what to do", short="-x"),
            Argument("--engine", "with the lines of the etcd that the agent runs"),
        ),
        streams=True,
    ),
    Command(
        "heads ls",
        "heads:listing",
        "List the heads, the worst state first",
        Reach.TOKEN,
        degraded="one is not up",
        default=True,
    ),
    Command(
        "heads show",
        "heads:show",
        "Show all that is known of a head",
        Reach.TOKEN,
        arguments=(_UID._replace(help="which head (default: this one)"),),
        degraded="it is not up",
    ),
    Command(
        "heads down",
        "heads:down",
        "List the heads that are down, and those of which nobody knows",
        Reach.TOKEN,
        degraded="there is one",
    ),
    Command(
        "heads evict",
        "heads:evict",
        "Remove a head that is gone for good, or all that are down",
        Reach.TOKEN,
        arguments=(
            _UID._replace(help="remove this head, whatever its state is", default=None, apart=True),
            Argument("--down", "remove all heads that are down, and no other", apart=True),
            _DRY_RUN,
            Argument("--force", "with UID: also when this head hears too few of the others"),
        ),
        plan="heads:plan_eviction",
        alone=True,
        degraded="one that is down was kept",
        changes=True,
    ),
    Command(
        "services ls",
        "services:listing",
        "List the services of a head",
        Reach.HEADS,
        degraded="an enabled one is down",
        default=True,
    ),
    Command(
        "services watch",
        "following:follow",
        "Show the services of a head, then every change as it happens",
        Reach.HEADS,
        arguments=(Argument("service", "only these services", "SERVICE", "*", complete="services"),),
        streams=True,
    ),
    *_ACTIONS,
    Command("files unused", "files:unused", "List the files that nothing refers to", Reach.HEADS),
    Command(
        "files rm",
        "files:remove",
        "Move the files that nothing refers to into the trash",
        Reach.HEADS,
        plan="files:plan_removal",
        arguments=(_DRY_RUN, Argument("--force", "also where so much would go that it looks like a mistake")),
        degraded="some were kept",
        changes=True,
    ),
    Command("files references", "files:references", "List the filenames that objects refer to", Reach.HEADS),
    Command("files trash", "files:trash", "List the removed files that can be restored", Reach.HEADS),
    Command(
        "files restore",
        "files:restore",
        "Bring removed files back",
        Reach.HEADS,
        arguments=(Argument("filename", "a name as `cw-headctl files trash` lists it", "FILE", "+", complete="trash"),),
        degraded="some were not restored",
        changes=True,
    ),
    Command(
        "files empty-trash",
        "files:empty",
        "Remove everything in the trash for good, to have the space now",
        Reach.HERE,
        plan="files:plan_emptying",
        arguments=(_DRY_RUN,),
        changes=True,
    ),
    Command(
        "database clean",
        "database:clean",
        "Remove what is left of heads, uploads and old backups, and tidy the engine, behind a backup",
        Reach.TOKEN,
        plan="database:plan_clean",
        arguments=(_DRY_RUN,),
        degraded="some of it was skipped",
        changes=True,
    ),
    Command(
        "database check",
        "database:check",
        "Examine the engine, every record and what they refer to",
        Reach.HERE,
        degraded="anything is found",
    ),
    Command(
        "database save",
        "records:save",
        "Write all records to a file",
        Reach.HERE,
        arguments=(
            Argument("file", "where to, - for standard output", "FILE", complete="file"),
            Argument("--force", "also over a file that is there"),
        ),
    ),
    Command(
        "database load",
        "records:load",
        "Add and change objects as such a file has them, behind a backup; none is removed",
        Reach.HERE,
        plan="records:plan_load",
        arguments=(
            Argument("file", "what `database save` wrote, - for standard input", "FILE", complete="file"),
            _DRY_RUN,
        ),
        changes=True,
        root=True,
    ),
    Command("database backups", "database:backups", "List the backups, the newest first", Reach.HERE),
    Command("database backup", "database:backup", "Make a backup now", Reach.HERE, changes=True),
    Command(
        "database migrate",
        "database:migrate",
        "Take a single head's records from SQLite to etcd",
        Reach.HERE,
        plan="database:plan_migration",
        changes=True,
        root=True,
    ),
    Command(
        "database recover",
        "database:recover",
        "Go on with this head alone, after etcd's quorum is gone for good",
        Reach.HERE,
        plan="database:plan_recovery",
        changes=True,
        root=True,
    ),
    Command(
        "database restore",
        "database:restore",
        "Put a backup in the database's place",
        Reach.HERE,
        plan="database:plan_restore",
        arguments=(Argument("name", "a name as `cw-headctl database backups` lists it", "NAME", complete="backups"),),
        changes=True,
        root=True,
    ),
    Command(
        "join",
        "join:join",
        "Have this head join a cluster; see `cw-headctl token --join`",
        Reach.HERE,
        arguments=(
            Argument("url", "where a head of the cluster answers, as https://10.0.0.1:52390", "URL"),
            Argument(
                "--token",
                "a token of the cluster; every user of this head can see it in the process list",
                "TOKEN",
            ),
            Argument("--ca-sha256", "the SHA-256 of the cluster's CA", "HASH", required=True),
            Argument("--force", "give up this head's own objects for those of a shared database"),
        ),
        changes=True,
        root=True,
    ),
    Command(
        "leave",
        "join:leave",
        "Have a head leave its cluster and go on alone",
        Reach.HEADS,
        plan="join:plan_leave",
        alone=True,
        changes=True,
    ),
    Command(
        "token",
        "tokens:make",
        "Make a token for the API, printed on standard output",
        Reach.HERE,
        arguments=(
            Argument("--lifespan", "how long it is valid, such as 30min, 12h or 7d", "TIME"),
            Argument("--permissions", "for example HeadsRead,ImagesWrite", "A,B", apart=True),
            Argument(
                "--join",
                "print the whole command that has another head join, with a token for 1h",
                apart=True,
            ),
            Argument("--subject", "whom it is for; stands in the audit lines (default: root)", "NAME"),
        ),
        changes=True,
        root=True,
    ),
    Command(
        "ca show",
        "authority:show",
        "Which CAs a head believes",
        Reach.HEADS,
        degraded="they are being exchanged",
        default=True,
    ),
    Command(
        "ca rotate",
        "authority:rotate",
        "Exchange the CA on all heads, for example after a head was compromised and removed",
        Reach.HERE,
        plan="authority:plan_rotation",
        changes=True,
        root=True,
    ),
    Command(
        "config check",
        "config:check",
        "Say whether the configuration is right and root's files follow it",
        Reach.NONE,
        arguments=(_CONFIG,),
        degraded="they do not",
        default=True,
    ),
    Command(
        "config apply",
        "config:apply",
        "Write the polkit rule and the units' drop-ins that follow the configuration",
        Reach.NONE,
        arguments=(_CONFIG,),
        degraded="something is left to do",
        changes=True,
        root=True,
    ),
    Command(
        "complete",
        "completion:words",
        "List what a shell can complete",
        Reach.HEADS,
        arguments=(Argument("kind", "heads, services, trash or backups", "KIND"),),
        hidden=True,
    ),
)
