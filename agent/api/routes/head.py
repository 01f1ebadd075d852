"""The rows about this head: its services, its files, how it is."""

from __future__ import annotations

from agent.api import doctor, files, health, openapi, services
from agent.api.call import Access, Route
from agent.api.metrics import scrape

SERVICES: tuple[Route, ...] = (
    Route(
        "GET",
        "/head/services",
        services.list_services,
        Access.KNOWN_HEAD,
        "List this head's services, each up or down",
        answers=services.LIST,
    ),
    Route(
        "GET",
        "/head/services/events",
        services.follow_services,
        Access.KNOWN_HEAD,
        "The services as Server-Sent Events: the whole table first, then every change as it happens",
        answers=services.FOLLOWED,
    ),
    Route(
        "POST",
        "/head/services",
        services.act_on_services,
        Access.KNOWN_HEAD,
        "Start, stop, restart, reload, enable or disable services",
        body=services.ServicesRequest,
        answers=services.ACTED,
    ),
)

FILES: tuple[Route, ...] = (
    Route(
        "GET",
        "/head/files/unused",
        files.list_unused,
        Access.KNOWN_HEAD,
        "The stored files that no object refers to and nobody uses",
        query=files.SCOPES,
        answers=files.UNUSED,
    ),
    Route(
        "DELETE",
        "/head/files/unused",
        files.remove_unused,
        Access.KNOWN_HEAD,
        "Move the unused files to the trash; `force` insists where so much would go that it looks like a mistake",
        switches=("dry_run", "force"),
        query=files.SCOPES,
        answers=files.REMOVED,
    ),
    Route(
        "POST",
        "/head/files/remove",
        files.remove,
        Access.KNOWN_HEAD,
        "Move those of the unused files to the trash that are named, and no other; guarded in the same ways",
        switches=("dry_run", "force"),
        body=files.FilesRemove,
        answers=files.REMOVED_NAMED,
    ),
    Route(
        "GET",
        "/head/files/progress",
        files.progress,
        Access.KNOWN_HEAD,
        "How far a survey or a removal of unused files has come that is under way",
        answers=files.PROGRESS,
    ),
    Route(
        "GET",
        "/head/files/references",
        files.list_references,
        Access.KNOWN_HEAD,
        "The filenames that this head's objects refer to; with `limit` a page of them, behind `after`",
        query=files.PAGES,
        answers=files.REFERENCES,
    ),
    Route(
        "POST",
        "/head/files/references",
        files.name_references,
        Access.KNOWN_HEAD,
        "Which of some filenames this head's objects refer to",
        body=files.NamesRequest,
        reads=True,
        answers=files.NAMED,
    ),
    Route(
        "GET",
        "/head/files/trash",
        files.list_trash,
        Access.KNOWN_HEAD,
        "The removed files, the oldest first",
        query=files.SCOPES,
        answers=files.TRASH,
    ),
    Route(
        "POST",
        "/head/files/restore",
        files.restore,
        Access.KNOWN_HEAD,
        "Put removed files back in their places, never over another: all that are named, or none",
        body=files.FilesRestore,
        answers=files.RESTORED,
    ),
    Route(
        "DELETE",
        "/head/files/trash",
        files.empty_trash,
        Access.LOCAL,
        "Remove everything in the trash for good",
        answers=files.EMPTIED,
    ),
)

AROUND: tuple[Route, ...] = (
    Route(
        "GET",
        "/head/doctor",
        doctor.examine,
        Access.KNOWN_HEAD,
        "This head in figures, and what is wrong with it, each with what to do; paths on the Unix socket only",
        answers=doctor.REPORT,
    ),
    Route(
        "GET",
        "/healthz",
        health.healthz,
        Access.PUBLIC,
        "Whether the process lives: its loops turn",
        answers=health.LIVE,
    ),
    Route(
        "GET",
        "/readyz",
        health.readyz,
        Access.PUBLIC,
        "Whether it can work: a line for each dependency",
        answers=health.READY,
    ),
    Route(
        "GET",
        "/metrics",
        scrape.metrics,
        Access.TOKEN,
        "What Prometheus scrapes, in its text format or OpenMetrics",
        "HeadsRead",
        answers=scrape.SCRAPED,
    ),
    Route(
        "GET",
        "/openapi.json",
        openapi.openapi,
        Access.PUBLIC,
        "This interface, described in OpenAPI 3.1",
        answers=openapi.DOCUMENT,
    ),
)
