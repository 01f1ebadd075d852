"""The route table: the whole HTTP surface with its access rules. Mounted with and without /api/v1."""

from __future__ import annotations

from agent.api import database, files, heads, health, heartbeat, join, objects, openapi, peers, roster, services, tokens
from agent.api.call import Access, Route
from agent.files.objects import BOOTCONFIGS, IMAGES, REPOS
from agent.heads.introduction import JoinRequest
from agent.heads.record import HEADS, HeadNew

ROUTES: tuple[Route, ...] = (
    # Heads
    Route("GET", "/heads", heads.list_heads, Access.TOKEN, "List the heads, by uid, with their states", "HeadsRead"),
    Route("POST", "/heads", heads.create_head, Access.TOKEN, "Register a head", "HeadsWrite", body=HeadNew),
    Route("GET", "/heads/meta", heads.describe_heads, Access.TOKEN, "The fields of a head", "HeadsRead"),
    Route("GET", "/heads/down", heads.list_down, Access.TOKEN, "List the heads that are down", "HeadsRead"),
    Route(
        "DELETE",
        "/heads/down",
        heads.delete_down,
        Access.TOKEN,
        "Remove the heads that are down from the cluster",
        "HeadsWrite",
        switches=("dry_run",),
    ),
    Route("GET", "/head/{uid}", heads.read_head, Access.TOKEN, "Read a head; `self` is this one", "HeadsRead"),
    Route(
        "PATCH",
        "/head/{uid}",
        heads.patch_head,
        Access.TOKEN,
        "Change some fields of a head",
        "HeadsWrite",
        body=HEADS.partial,
    ),
    Route(
        "PUT",
        "/head/{uid}",
        heads.replace_head,
        Access.TOKEN,
        "Change all fields of a head",
        "HeadsWrite",
        body=HEADS.shape,
    ),
    Route(
        "DELETE",
        "/head/{uid}",
        heads.delete_head,
        Access.TOKEN,
        "Remove another head, up or down",
        "HeadsWrite",
        switches=("force",),
    ),
    Route(
        "POST",
        "/heads/join",
        join.admit,
        Access.TOKEN,
        "Let a head in: its certificate, the CA with its key, the heads, and what its database needs",
        "HeadsWrite",
        body=JoinRequest,
    ),
    Route("POST", "/heads/farewell", join.farewell, Access.KNOWN_HEAD, "Hear from the head that calls that it leaves"),
    Route(
        "POST",
        "/head/join",
        join.join,
        Access.ROOT,
        "Have this head join a cluster; a failure leaves everything as it was",
        body=join.JoinBody,
    ),
    Route("GET", "/head/join", join.progress, Access.LOCAL, "The steps of a join that is under way"),
    # Objects
    *objects.routes(IMAGES, "/images", "/image", "Images"),
    *objects.routes(BOOTCONFIGS, "/bootconfigs", "/bootconfig", "BootConfigs"),
    *objects.routes(REPOS, "/repos", "/repo", "Repos"),
    # Services
    Route(
        "GET",
        "/head/services",
        services.list_services,
        Access.KNOWN_HEAD,
        "List this head's services, each up or down",
    ),
    Route(
        "POST",
        "/head/services",
        services.act_on_services,
        Access.KNOWN_HEAD,
        "Start, stop, restart, reload, enable or disable services",
        body=services.ServicesRequest,
    ),
    # Files
    Route(
        "GET",
        "/head/files/unused",
        files.list_unused,
        Access.KNOWN_HEAD,
        "The stored files that no object refers to and nobody uses",
        query=files.SCOPES,
    ),
    Route(
        "DELETE",
        "/head/files/unused",
        files.remove_unused,
        Access.KNOWN_HEAD,
        "Move the unused files to the trash; `force` insists where so much would go that it looks like a mistake",
        switches=("dry_run", "force"),
        query=files.SCOPES,
    ),
    Route(
        "GET",
        "/head/files/references",
        files.list_references,
        Access.KNOWN_HEAD,
        "The filenames that this head's objects refer to; with `limit` a page of them, behind `after`",
        query=files.PAGES,
    ),
    Route(
        "POST",
        "/head/files/references",
        files.name_references,
        Access.KNOWN_HEAD,
        "Which of some filenames this head's objects refer to",
        body=files.NamesRequest,
    ),
    Route(
        "GET",
        "/head/files/trash",
        files.list_trash,
        Access.KNOWN_HEAD,
        "The removed files, the oldest first",
        query=files.SCOPES,
    ),
    Route(
        "POST",
        "/head/files/restore",
        files.restore,
        Access.KNOWN_HEAD,
        "Put removed files back in their places, never over another: all that are named, or none",
        body=files.RestoreRequest,
    ),
    Route("DELETE", "/head/files/trash", files.empty_trash, Access.LOCAL, "Remove everything in the trash for good"),
    # Database
    Route(
        "GET",
        "/database/clean",
        database.plan_clean,
        Access.TOKEN,
        "What a clean of the database would do; nothing is changed",
        "HeadsRead",
    ),
    Route(
        "POST",
        "/database/clean",
        database.clean,
        Access.TOKEN,
        "Clean the database: all of the plan, or none of it when it is no longer what was shown",
        "HeadsWrite",
        body=database.CleanRequest,
    ),
    Route("POST", "/database/leave", database.leave, Access.KNOWN_HEAD, "Have this head leave its cluster"),
    Route("GET", "/database/backups", database.list_backups, Access.LOCAL, "The backups, the newest first"),
    Route("POST", "/database/backups", database.make_backup, Access.LOCAL, "Make a backup now"),
    Route(
        "POST",
        "/database/restore",
        database.restore_backup,
        Access.ROOT,
        "Put a backup in the database's place, which may be damaged; the former database is moved aside",
        body=database.RestoreRequest,
    ),
    # Between heads
    Route("GET", "/head/heartbeat", heartbeat.heartbeat, Access.KNOWN_HEAD, "A WebSocket over which a head beats"),
    Route("GET", "/head/roster", roster.roster, Access.KNOWN_HEAD, "This head's list of heads, to merge"),
    # Access
    Route("GET", "/head/peerurl", peers.peer_url, Access.PUBLIC, "What a head must know before it joins"),
    Route(
        "POST",
        "/head/token",
        tokens.make_token,
        Access.ROOT,
        "Make a token, signed with this head's SSH key",
        body=tokens.TokenRequest,
    ),
    # Around
    Route("GET", "/healthz", health.healthz, Access.PUBLIC, "Whether the process lives: its loops turn"),
    Route("GET", "/readyz", health.readyz, Access.PUBLIC, "Whether it can work: a line for each dependency"),
    Route("GET", "/openapi.json", openapi.openapi, Access.PUBLIC, "This interface, described in OpenAPI 3.1"),
)
