"""What a head had, in the hands of another machine: to see that it opens nothing any more."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.support.heads import Head, Host
from tests.support.heads.cluster import Cluster
from tests.support.talk import Talk


@dataclass
class Stolen:
    """A head's certificate and a token that it signed, each over an open connection to every other head."""

    head: Head
    by_certificate: list[Talk]
    by_token: list[Talk]

    @classmethod
    def of(cls, head: Head, cluster: Cluster, thief: Host, directory: Path) -> Stolen:
        """Copy it to a machine, and connect from there with it."""
        certificate = directory / f"{head.name}.pem"
        certificate.write_text(head.path("/var/lib/clusterware-head-agent/head.pem").read_text())
        token, others = cluster.token(head), cluster.others(head)
        return cls(
            head,
            [Talk(thief, other, certificate) for other in others],
            [Talk(thief, other, token=token) for other in others],
        )

    def opens_everything(self) -> bool:
        """Whether all of it is good everywhere."""
        return set(self._answers()) == {200}

    def opens_nothing(self) -> bool:
        """Whether none of it is good anywhere."""
        return set(self._answers()) <= {401, 403}

    def close(self) -> None:
        """End the connections."""
        for talk in (*self.by_certificate, *self.by_token):
            talk.close()

    def _answers(self) -> list[int]:
        certified = [talk.ask("GET", "/api/v1/head/services").status for talk in self.by_certificate]
        return certified + [talk.ask("GET", "/api/v1/heads").status for talk in self.by_token]
