"""A scrape of each head of a cluster, over the socket and from elsewhere with a token, shows the cluster as it is."""

from __future__ import annotations

from tests.support.exposition import Scraped
from tests.support.heads import Head, Host
from tests.support.heads.cluster import PORT, Cluster
from tests.support.heads.head import SOCKET, wait_for
from tests.system.cluster.conftest import SLACK, TIMEOUT

STATE = "clusterware_head_state"


def scraped(head: Head) -> Scraped:
    return Scraped.of(head.run("curl", "-sf", "--unix-socket", SOCKET, "http://head/metrics").stdout)


def remote(host: Host, head: Head, *options: str) -> tuple[int, str]:
    """Status and body of a scrape from another machine."""
    argv = ["curl", "-sk", "--max-time", "20", "-w", "\n%{http_code}", *options]
    text, _, code = host.run(*argv, f"https://{head.address}:{PORT}/api/v1/metrics").stdout.rpartition("\n")
    return int(code), text


def states(seen: Scraped) -> dict[str, str]:
    return {
        dict(has)["head"]: dict(has)["state"] for (name, has), value in seen.series.items() if name == STATE and value
    }


def test_each_head_tells_the_cluster_as_it_sees_it(three: Cluster) -> None:
    uids = {head.uid for head in three.heads}
    for head in three.heads:
        others = uids - {head.uid}
        wait_for(lambda: scraped(head).total("clusterware_head_heartbeat_links") == 4, "all links", SLACK)  # noqa: B023
        seen = scraped(head)
        assert states(seen) == dict.fromkeys(uids, "up")
        assert seen.value("clusterware_head_heads", state="up") == 3
        assert seen.value("clusterware_head_standing", standing="majority") == 1
        assert seen.labels("clusterware_head_heartbeat_age_seconds", "head") == others
        assert seen.labels("clusterware_head_heartbeat_round_trip_seconds", "head") == others
        for uid in others:
            assert 0 <= seen.value("clusterware_head_heartbeat_age_seconds", head=uid) < TIMEOUT + SLACK
            assert 0 < seen.value("clusterware_head_heartbeat_round_trip_seconds", head=uid) < 1
        assert seen.value("clusterware_head_database_info", engine=three.engine) == 1
        assert seen.value("clusterware_head_database_usable") == 1
        assert seen.value("clusterware_head_unit_up", unit="clusterware-head-agent") == 1
        assert seen.total("clusterware_head_event_loop_lag_seconds_count") > 0


def test_the_members_of_etcd_are_told_and_one_of_them_leads(three: Cluster) -> None:
    uids = {head.uid for head in three.heads}
    member = "clusterware_head_database_member_"
    for head in three.heads:
        if three.engine == "sqlite":
            assert not scraped(head).labels(f"{member}healthy", "head")
            assert not scraped(head).total("clusterware_head_database_quorum")
            continue
        wait_for(lambda: scraped(head).total(f"{member}healthy") == 3, "all members to answer", 3 * SLACK)  # noqa: B023
        seen = scraped(head)
        assert seen.labels(f"{member}healthy", "head") == uids
        assert (seen.total(f"{member}leader"), seen.total(f"{member}voter")) == (1, 3)
        assert seen.value("clusterware_head_database_quorum") == 1
        assert seen.value("clusterware_head_database_stale_seconds") == 0


def test_a_head_that_dies_is_down_in_the_next_scrape_of_the_others(three: Cluster) -> None:
    gone = three.heads[2]
    three.run.power_off(gone)
    for head in three.others(gone):
        wait_for(lambda: states(scraped(head))[gone.uid] == "down", "it to be down", TIMEOUT + 3 * SLACK)  # noqa: B023
        assert scraped(head).value("clusterware_head_heads", state="down") == 1
        assert gone.uid not in scraped(head).labels("clusterware_head_heartbeat_round_trip_seconds", "head")


def test_a_token_that_reads_heads_opens_it_and_nothing_else_does(three: Cluster, elsewhere: Host) -> None:
    first, second = three.heads[:2]
    token, other = three.token(first, "HeadsRead"), three.token(first, "ImagesRead")
    status, text = remote(elsewhere, second, "-H", f"Authorization: Bearer {token}")
    assert status == 200
    assert token.partition(".")[2] not in text
    assert states(Scraped.of(text)).keys() == {head.uid for head in three.heads}

    before = Scraped.of(text)
    assert remote(elsewhere, second)[0] == 401
    assert remote(elsewhere, second, "-H", f"Authorization: Bearer {other}")[0] == 403
    now = scraped(second)
    for code, denied in (("unauthenticated", "401"), ("permission", "403")):
        name = "clusterware_head_http_denied_total"
        assert now.total(name, code=code) == before.total(name, code=code) + 1
        requests = "clusterware_head_http_requests_total"
        labels = {"route": "/metrics", "method": "GET", "code": denied}
        assert now.total(requests, **labels) == before.total(requests, **labels) + 1
    assert now.value("clusterware_head_http_connections", standing="local") == 1
    assert now.value("clusterware_head_certificate_expiry_timestamp_seconds", certificate="head") > 1.7e9
