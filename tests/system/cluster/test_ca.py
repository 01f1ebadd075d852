"""The cluster's CA on live heads: exchanged for a new one, while everything goes on."""

from __future__ import annotations

import json
from typing import Any

from tests.support.heads.cluster import Cluster, everywhere
from tests.support.heads.head import Head

STATE = "/var/lib/clusterware-head-agent"


def _cas(head: Head) -> dict[str, Any]:
    return dict(json.loads(head.run("cw-headctl", "--json", "ca", "show").stdout))


def test_the_ca_is_exchanged_on_all_heads_and_the_former_opens_nothing(three: Cluster) -> None:
    driver, other = three.heads[1], three.heads[2]
    before = _cas(driver)
    stolen = {name: other.path(f"{STATE}/{name}").read_bytes() for name in ("ca.pem", "head.pem")}

    told = driver.run("cw-headctl", "ca", "rotate", timeout=150).stdout

    after = _cas(driver)
    assert after["issuing"] in told
    assert after["issuing"] != before["issuing"]
    for head in three.heads:
        state = _cas(head)
        assert (state["issuing"], state["next"], state["former"]) == (after["issuing"], None, None)
        assert set(map(tuple, state["records"].values())) == {(after["issuing"],)}
        assert state["engine"] in (None, [after["issuing"]])
    everywhere(three.heads, three.well, "all heads to be up again")
    other.write("/root/stolen.pem", stolen["head.pem"], 0o600)
    ask = ["curl", "-sk", "--max-time", "5", "--cert", "/root/stolen.pem"]
    refused = other.run(*ask, f"https://{driver.address}:52390/api/v1/head/services", check=False)
    assert refused.returncode != 0 or json.loads(refused.stdout)["success"] is False
    if three.engine == "etcd":
        url = f"https://{driver.address}:52391/v3/maintenance/status"
        assert other.run(*ask, "-d", "{}", url, check=False).returncode != 0


def test_a_head_that_is_away_holds_the_exchange_up_and_nothing_has_changed(three: Cluster) -> None:
    away, driver = three.heads[2], three.heads[0]
    before = _cas(driver)
    away.kill_for_good()

    refused = driver.run("cw-headctl", "ca", "rotate", check=False, timeout=150)

    assert refused.returncode == 1
    assert away.uid in refused.stderr
    assert _cas(driver) == before
