"""GET /metrics of a real daemon: what Prometheus gets is what the rules and the dashboard ask for, and no secret."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agent.api.metrics.metric import Type
from agent.api.metrics.table import METRICS
from tests.support.daemon import ROOT, Daemon, configure, started
from tests.support.exposition import (
    DASHBOARD,
    PROMTOOL,
    RULES,
    SCRAPE,
    Scraped,
    alerts,
    asked_for,
    expressions,
    family_of,
)
from tests.support.http import client

OPENMETRICS = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5"
SECRET = "eyJhbGciOiJFZERTQSJ9.planted"
BY_PROMETHEUS = {"up"}


@dataclass
class Answered:
    """What was answered to a scrape."""

    status: int
    kind: str
    text: str

    @property
    def scraped(self) -> Scraped:
        """The text, read by the format that it says it has."""
        return Scraped.of(self.text, openmetrics="openmetrics" in self.kind)


async def scrape(daemon: Daemon, path: str = "/metrics", **headers: str) -> Answered:
    async with client(daemon.unix) as session, session.get(path, headers=headers) as answer:
        return Answered(answer.status, answer.headers["Content-Type"], await answer.text())


async def asked(daemon: Daemon, method: str, path: str, body: Any = None, **headers: str) -> int:
    async with client(daemon.unix) as session, session.request(method, path, json=body, headers=headers) as answer:
        await answer.read()
        return answer.status


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with started(configure(tmp_path_factory.mktemp("metrics"))) as running:
        assert running.heard() == {"READY": "1"}
        yield running


def promtool(*arguments: str | Path, stdin: str | None = None) -> None:
    done = subprocess.run([PROMTOOL, *arguments], input=stdin, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


async def test_every_metric_of_the_table_is_scraped_and_no_other_of_ours(daemon: Daemon) -> None:
    families = (await scrape(daemon)).scraped.families
    ours = {family_of(metric.name): str(metric.type) for metric in METRICS}
    assert {name: kind for name, kind in families.items() if name.startswith("clusterware_head_")} == ours
    assert {"process_start_time_seconds", "process_open_fds", "python_gc_collections"} <= families.keys()


async def test_promtool_finds_nothing_to_improve(daemon: Daemon) -> None:
    promtool("check", "metrics", stdin=(await scrape(daemon)).text)


async def test_the_scraper_chooses_the_format(daemon: Daemon) -> None:
    plain, open_ = await scrape(daemon), await scrape(daemon, "/api/v1/metrics", Accept=OPENMETRICS)
    assert (plain.status, plain.kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert open_.status == 200
    assert open_.kind.startswith("application/openmetrics-text; version=1.0.0; charset=utf-8")
    assert open_.text.endswith("# EOF\n")
    assert plain.scraped.families.keys() == open_.scraped.families.keys()


@pytest.mark.parametrize(
    "accept", ["application/openmetrics-text; version=abc", "text/plain; version=x.y", ";;,=", "*/*"]
)
async def test_what_no_scraper_should_send_is_answered_in_the_plain_format(daemon: Daemon, accept: str) -> None:
    answered = await scrape(daemon, Accept=accept)
    assert (answered.status, answered.kind) == (200, "text/plain; version=0.0.4; charset=utf-8")


async def test_failures_stay_in_the_envelope(daemon: Daemon) -> None:
    unknown, elsewhere = await scrape(daemon, "/metrics?name=up"), await scrape(daemon, **{"X-Head": "f" * 32})
    for answered, code in ((unknown, "unknown-parameter"), (elsewhere, "another-head")):
        assert answered.kind == "application/json"
        assert (answered.status, json.loads(answered.text)["code"]) == (422, code)
    assert "ask head " + "f" * 32 + " itself" in elsewhere.text


async def test_what_was_done_is_counted(daemon: Daemon) -> None:
    before = (await scrape(daemon)).scraped
    assert await asked(daemon, "POST", "/images", {"name": "counted"}) == 201
    assert await asked(daemon, "GET", "/api/v1/heads") == 200
    assert await asked(daemon, "GET", "/head/files/unused") == 200
    assert await asked(daemon, "GET", f"/head/{'0' * 32}") == 404
    assert await asked(daemon, "POST", "/database/backups") == 201
    now = (await scrape(daemon)).scraped

    def grew(name: str, **labels: str) -> float:
        return now.total(name, **labels) - before.total(name, **labels)

    requests = "clusterware_head_http_requests_total"
    assert grew(requests, route="/images", method="POST", code="201") == 1
    assert grew(requests, route="/heads", method="GET", code="200") == 1
    assert grew(requests, route="/head/{uid}", method="GET", code="404") == 1
    assert grew("clusterware_head_http_request_duration_seconds_count", route="/heads") == 1
    assert grew("clusterware_head_http_request_bytes_total") > 0
    assert grew("clusterware_head_http_response_bytes_total") > len(before.series)
    assert grew("clusterware_head_database_commit_duration_seconds_count") == 1
    assert grew("clusterware_head_database_revision") == 1
    assert grew("clusterware_head_files_scans_total", result="done") == 1
    assert grew("clusterware_head_database_backups") == 1
    assert now.value("clusterware_head_files_last_scan_age_seconds") < 60
    assert now.value("clusterware_head_http_requests_in_flight") == 1
    assert now.value("clusterware_head_http_connections", standing="local") == 1


async def test_what_a_stranger_sends_becomes_no_label(daemon: Daemon) -> None:
    await asked(daemon, "GET", f"/{SECRET}?{SECRET}")
    await asked(daemon, "GET", f"/image/{SECRET}")
    await asked(daemon, SECRET.split(".")[1].upper(), "/heads", Authorization=f"Bearer {SECRET}")
    await asked(daemon, "PLANTED", f"/{SECRET}", **{"X-Request-Id": SECRET, "X-Operator": SECRET})
    answered = await scrape(daemon)
    assert "planted" not in answered.text.lower()
    assert answered.scraped.total("clusterware_head_http_requests_total", route="none", method="other") >= 1


async def test_a_scrape_keeps_nobody_waiting(daemon: Daemon) -> None:
    statuses = await asyncio.gather(*(scrape(daemon) for _ in range(20)))
    assert {answered.status for answered in statuses} == {200}


def test_the_library_is_not_imported_before_somebody_scrapes() -> None:
    script = "import sys, agent.app.run, agent.api.routes; sys.exit('prometheus_client' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


@pytest.mark.parametrize("expression", [*expressions(), DASHBOARD.read_text().replace('\\"', '"')], ids=lambda _: "")
def test_rules_and_dashboard_ask_for_what_there_is(expression: str) -> None:
    known = {family_of(metric.name): metric for metric in METRICS}
    names = list(asked_for(expression))
    assert names
    for name, labels in names:
        if name.startswith("clusterware_head_"):
            metric = known[family_of(name)]
            assert labels <= set(metric.labels), name
            assert metric.type is not Type.COUNTER or name.endswith("_total"), name
            assert metric.type is not Type.HISTOGRAM or name.endswith(("_bucket", "_count", "_sum")), name


async def test_what_they_ask_for_of_others_is_scraped_too(daemon: Daemon) -> None:
    families = (await scrape(daemon)).scraped.families.keys()
    text = "\n".join([*expressions(), DASHBOARD.read_text()])
    others = {family_of(name) for name, _ in asked_for(text) if not name.startswith("clusterware_head_")}
    assert others - BY_PROMETHEUS <= families


def test_every_metric_is_on_the_dashboard() -> None:
    shown = {family_of(name) for name, _ in asked_for(DASHBOARD.read_text())}
    unshown = {"clusterware_head_build_info", "clusterware_head_database_member_voter"}
    assert {family_of(metric.name) for metric in METRICS} - shown - unshown == set()


def test_the_rules_are_sound_and_each_is_tried() -> None:
    tried = [ROOT / "tests/integration" / name for name in ("alerts.test.yml", "alerts-slow.test.yml")]
    promtool("check", "rules", RULES)
    promtool("test", "rules", *tried)
    text = "".join(path.read_text() for path in tried)
    assert [name for name in alerts() if f"name: {name}\n" not in text] == []
    assert len(alerts()) == len(expressions())


def test_the_example_of_a_scrape_is_sound(tmp_path: Path) -> None:
    text = SCRAPE.read_text()
    for name in ("clusterware-heads.token", "clusterware-heads.pem"):
        (tmp_path / name).touch()
    (tmp_path / "clusterware-heads-alerts.yml").write_text(RULES.read_text())
    example = tmp_path / "prometheus.yml"
    example.write_text(text.replace("/etc/prometheus", str(tmp_path)))
    promtool("check", "config", example)
