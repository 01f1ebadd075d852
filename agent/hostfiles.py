"""The files of root's that follow the configuration: the polkit rule and the drop-ins of the agent's units.

`cw-headctl config apply` writes them, as root; the agent, which could not, says at its start when they differ.
"""

from __future__ import annotations

import grp
import hashlib
import re
import stat
from collections.abc import Callable, Sequence
from pathlib import Path

from agent.config import Config
from agent.config.sections import Etcd, State

USER = "clusterware-agent"
"""The daemon's own user and group."""

UNIT = "clusterware-head-agent"
RULE = Path("/etc/polkit-1/rules.d/60-clusterware-head-agent.rules")
SERVICE = Path(f"/etc/systemd/system/{UNIT}.service.d/50-config.conf")
SOCKET = Path(f"/etc/systemd/system/{UNIT}.socket.d/50-config.conf")
ENGINE_UNIT = f"{UNIT}-etcd.service"
"""The unit of the etcd that the agent runs."""
ENGINE = Path(f"/etc/systemd/system/{ENGINE_UNIT}.d/50-config.conf")

_HEADER = "This follows the agent's configuration. Written by `cw-headctl config apply`: change that, not this."
_NAME = r"[A-Za-z0-9_.:@\\-]"
"""What a unit's name may consist of (systemd.unit(5))."""


def render(config: Config, store_group: str | None = None, primaries: Sequence[str] = ()) -> dict[Path, str]:
    """Every such file with its text.

    `store_group`: the group that owns the file store, where it is not the agent's. `primaries`: the units that the
    configuration names by an alias; polkit is asked about a unit by its primary name (Debian's chronyd is chrony).
    """
    patterns = config.services.patterns
    rule = _rule((*patterns, *primaries))
    return {
        RULE: rule,
        SERVICE: _service(config, _rule(patterns), store_group),
        SOCKET: _socket(config),
        ENGINE: _engine(config),
    }


def differences(
    config: Config, read: Callable[[Path], str], store_group: str | None = None, primaries: Sequence[str] = ()
) -> dict[Path, str | None]:
    """The files that are not as they would be rendered now, each with the text it has (None: there is none).

    `read` gives a file's text or raises OSError, or UnicodeDecodeError: then why stands in the text's place. What may
    not be read is not judged: polkit's rules are not open to the agent, so the service's drop-in carries the digest of
    the rule that was written with it.
    """
    found: dict[Path, str | None] = {}
    for path, text in render(config, store_group, primaries).items():
        present: str | None
        try:
            present = read(path)
        except FileNotFoundError:
            present = None
        except PermissionError:
            continue
        except (OSError, UnicodeDecodeError) as err:
            present = f"cannot be read: {err}"
        if present != text:
            found[path] = present
    return found


def store_group(root: Path) -> str | None:
    """The name of the group that owns the file store, None where there is no store yet or its group has no name.

    Nor where it is a link, which is no store: somebody else may have laid it, to have the agent get another group.
    """
    try:
        status = root.lstat()
        return grp.getgrgid(status.st_gid).gr_name if stat.S_ISDIR(status.st_mode) else None
    except (OSError, KeyError):
        return None


def unit_expression(pattern: str) -> str:
    """A shell pattern for units as an anchored regular expression that JavaScript and Python read alike."""
    parts: list[str] = []
    rest = pattern if pattern.endswith((".service", "*")) else f"{pattern}.service"
    while rest:
        if rest[0] == "*":
            part, rest = f"{_NAME}*", rest[1:]
        elif rest[0] == "?":
            part, rest = _NAME, rest[1:]
        elif found := re.match(r"\[([^\]]+)\]", rest):
            members = found[1].replace("\\", r"\\").replace("[", r"\[")
            part, rest = f"[{members}]", rest[found.end() :]
        else:
            part, rest = re.escape(rest[0]), rest[1:]
        parts.append(part)
    return f"^{''.join(parts)}$"


def _rule(patterns: tuple[str, ...]) -> str:
    expressions = ",\n".join(f"        /{unit_expression(pattern)}/" for pattern in patterns)
    return f"""\
// {_HEADER}
// Lets the agent's user start, stop, restart, reload and reset the services that it supervises, and nothing else.
(function () {{
    var patterns = [
{expressions}
    ];

    function supervised(unit) {{
        return /\\.service$/.test(unit) && !/^{UNIT}[.@-]/.test(unit) &&
            patterns.some(function (pattern) {{ return pattern.test(unit); }});
    }}

    function allowed(unit, verb) {{
        if (unit === "{UNIT}.service")
            return verb === "restart" || verb === "reload";
        // Its database: a unit that the agent configures, as its own user and in a sandbox that root's file describes.
        if (unit === "{ENGINE_UNIT}")
            return ["start", "stop", "restart"].indexOf(verb) >= 0;
        // enable and disable are one-shot units of root's: their instance is the unit in question.
        var change = /^{UNIT}-(?:enable|disable)@(.+\\.service)$/.exec(unit);
        if (change)
            return verb === "start" && supervised(change[1]);
        return ["start", "stop", "restart", "reload", "reset-failed"].indexOf(verb) >= 0 && supervised(unit);
    }}

    polkit.addRule(function (action, subject) {{
        if (subject.user !== "{USER}" || action.id.indexOf("org.freedesktop.systemd1.") !== 0)
            return polkit.Result.NOT_HANDLED;
        // Never manage-unit-files: it names no unit, and whoever has it is root.
        if (action.id !== "org.freedesktop.systemd1.manage-units")
            return polkit.Result.NO;
        var unit = action.lookup("unit"), verb = action.lookup("verb"), message = action.lookup("polkit.message");
        // systemd after 252 names unit and verb for transient units too, which would run anything as root.
        if (!unit || !verb || !message || /transient/.test(message))
            return polkit.Result.NO;
        return allowed(unit, verb) ? polkit.Result.YES : polkit.Result.NO;
    }});
}})();
"""


def _service(config: Config, rule: str, store_group: str | None) -> str:
    writable = dict.fromkeys([config.files.root])
    for path in (config.state.directory, config.database.path.parent):
        if not path.is_relative_to(State().directory):
            writable[path] = None
    lines = [f"# {_HEADER}", f"# polkit rule: {hashlib.sha256(rule.encode()).hexdigest()}", "[Service]"]
    # The dash: where it is missing the agent starts all the same, and says so itself.
    lines += [f"ReadWritePaths={_quoted(f'-{path}')}" for path in writable]
    if store_group not in (None, "root", USER):
        lines.append(f"SupplementaryGroups={store_group}")
    lines.append(f"LoadCredential=ssh_host_key:{_literal(config.auth.ssh_key)}")
    lines.append(f"LoadCredential=base.ini:{_literal(config.head.base_ini)}")
    return "\n".join(lines) + "\n"


def _socket(config: Config) -> str:
    addresses = config.api.listen
    lines = [f"# {_HEADER}", "[Socket]", "ListenStream="]
    # A port alone is every address of both families, also where the kernel has no IPv6.
    both = not any(address.startswith("0.0.0.0:") for address in addresses)
    for address in addresses:
        lines.append(f"ListenStream={address.removeprefix('[::]:') if both else address}")
    if not both:
        lines.append("BindIPv6Only=ipv6-only")
    lines.append(f"ListenStream={_literal(config.api.socket)}")
    return "\n".join(lines) + "\n"


def _engine(config: Config) -> str:
    """The drop-in of the agent's own etcd: where its configuration and data are, and which etcd it is."""
    directory, binary = config.state.directory, config.etcd.binary
    lines = [f"# {_HEADER}"]
    elsewhere = directory != State().directory
    if elsewhere:
        lines += ["[Unit]", "ConditionPathExists="]
        conditions = ("", "etcd.yaml"), ("|", "etcd.data/member/snap/db"), ("|", "etcd.begins")
        lines += [f"ConditionPathExists={mark}{_literal(directory / path)}" for mark, path in conditions]
    lines.append("[Service]")
    if elsewhere and not directory.is_relative_to(State().directory):
        lines.append(f"ReadWritePaths={_quoted(f'-{directory}')}")
    if elsewhere or binary != Etcd().binary:
        settings = _quoted(str(directory / "etcd.yaml")).replace("$", "$$")
        lines += ["ExecStart=", f"ExecStart={_quoted(str(binary))} --config-file {settings}"]
    return "\n".join(lines) + "\n"


def _literal(path: Path) -> str:
    """A path as systemd takes it literally: % begins a specifier."""
    return str(path).replace("%", "%%")


def _quoted(text: str) -> str:
    """One word of a list of words (systemd.syntax(7))."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"' if re.search(r"[\s\"'\\]", text) else escaped
