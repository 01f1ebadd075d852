"""A scrape of an installed agent in its sandbox: the services of its head, and its own process."""

from __future__ import annotations

from tests.support.exposition import Scraped
from tests.support.heads import Head
from tests.support.heads.head import SOCKET, wait_for

DNS = "clusterware-dns"


def scrape(head: Head) -> str:
    return head.run("curl", "-sf", "--unix-socket", SOCKET, "http://head/metrics").stdout


def test_the_services_and_what_was_done_to_them(head: Head) -> None:
    before = Scraped.of(scrape(head))
    rows = {row["name"]: row for row in head.api("GET", "/head/services").data}
    assert before.labels("clusterware_head_unit_up", "unit") == rows.keys()
    for name, row in rows.items():
        assert before.value("clusterware_head_unit_up", unit=name) == (row["status"] == "up")
        assert before.value("clusterware_head_unit_state", unit=name, state=row["active_state"]) == 1
    assert head.api("POST", "/head/services", {"status": "restart", "services": [DNS]}).status == 200
    actions = "clusterware_head_unit_actions_total"
    labels = {"action": "restart", "result": "done"}
    assert Scraped.of(scrape(head)).total(actions, **labels) == before.total(actions, **labels) + 1


def test_a_service_that_dies_and_is_run_again_by_systemd_has_been_restarted(head: Head) -> None:
    restarts = "clusterware_head_unit_restarts_total"
    before = Scraped.of(scrape(head)).value(restarts, unit=DNS)
    head.systemctl("kill", "--signal=KILL", DNS)
    wait_for(lambda: Scraped.of(scrape(head)).value(restarts, unit=DNS) > before, "it to be restarted")
    wait_for(lambda: Scraped.of(scrape(head)).value("clusterware_head_unit_up", unit=DNS) == 1, "it to be up")
    states = "clusterware_head_unit_state"
    told = {
        dict(has)["state"] for name, has in Scraped.of(scrape(head)).series if name == states and ("unit", DNS) in has
    }
    assert told == {"active"}


def test_the_process_tells_of_itself_from_within_its_sandbox(head: Head) -> None:

    seen = Scraped.of(scrape(head))
    assert seen.value("process_resident_memory_bytes") > 10e6
    assert 0 < seen.value("process_open_fds") < seen.value("process_max_fds")
    assert seen.value("clusterware_head_threads") >= 1
    assert seen.labels("clusterware_head_ready", "dependency") >= {"systemd", "database", "files"}
    assert seen.total("clusterware_head_log_lines_lost_total") == 0
