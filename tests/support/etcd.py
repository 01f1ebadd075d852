"""Real etcd members on loopback addresses of their own, for a test; frozen, killed and started again at will."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from agent.adapters.clock import SystemClock
from agent.adapters.etcd.client import EtcdClient
from agent.adapters.etcd.cluster import Cluster
from tests.support.pki import Holder, around_now, authority

ETCD = "/usr/bin/etcd"
_numbers = itertools.count(1)
_START = 15.0
"""Seconds that a member may take to answer."""


def network() -> str:
    """The first three numbers of loopback addresses that nobody else on this machine uses at the moment."""
    pid = os.getpid()
    return f"127.{100 + pid // 250 % 150}.{1 + (pid + 83 * next(_numbers)) % 250}"


@dataclass
class EtcdMember:
    """One member as a process."""

    name: str
    address: str
    directory: Path
    scheme: str
    options: tuple[str, ...]
    tls: ssl.SSLContext | None
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its client URL."""
        return f"{self.scheme}://{self.address}:2379"

    @property
    def peer_url(self) -> str:
        """Its peer URL."""
        return f"{self.scheme}://{self.address}:2380"

    def start(self, cluster: str, state: str = "new") -> None:
        """Have the process run; it is not waited for."""
        arguments = {
            "name": self.name,
            "data-dir": str(self.directory / self.name),
            "listen-client-urls": self.url,
            "advertise-client-urls": self.url,
            "listen-peer-urls": self.peer_url,
            "initial-advertise-peer-urls": self.peer_url,
            "initial-cluster": cluster,
            "initial-cluster-state": state,
            "log-level": "error",
        }
        flags = [f"--{name}={value}" for name, value in arguments.items()]
        with (self.directory / f"{self.name}.log").open("ab") as log:
            # Whatever happens to the tests, no member outlives them.
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", ETCD, *flags, *self.options], stdout=log, stderr=log
            )

    def ready(self) -> None:
        """Wait until it says that it is healthy."""
        ends = time.monotonic() + _START
        while not self.healthy():
            assert time.monotonic() < ends, (self.directory / f"{self.name}.log").read_text()[-2000:]
            time.sleep(0.02)

    def healthy(self) -> bool:
        """Whether it answers, and has a leader."""
        with (
            contextlib.suppress(OSError),
            urllib.request.urlopen(f"{self.url}/health", timeout=1, context=self.tls) as r,
        ):
            return b'"true"' in r.read()
        return False

    def freeze(self) -> None:
        """SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)


@dataclass
class Etcd:
    """A cluster of members."""

    directory: Path
    members: list[EtcdMember]
    tls: ssl.SSLContext | None = None
    clients: list[EtcdClient] = field(default_factory=list)

    @property
    def urls(self) -> list[str]:
        """Every client URL."""
        return [member.url for member in self.members]

    def client(self, urls: Sequence[str] | None = None, cluster_id: int | None = None) -> EtcdClient:
        """A client of these members, or of those at `urls`; its user closes it."""
        return EtcdClient(urls or self.urls, lambda: self.tls, SystemClock(), cluster_id=cluster_id)

    def start(self, *members: EtcdMember, state: str = "new") -> None:
        """Start these, or all, and wait until they are healthy."""
        everybody = ",".join(f"{member.name}={member.peer_url}" for member in self.members)
        for member in members or self.members:
            member.start(everybody, state)
        for member in members or self.members:
            member.ready()

    def stop(self) -> None:
        """Kill all, and remove what they wrote."""
        for member in self.members:
            member.kill()
        shutil.rmtree(self.directory)

    def at(self, url: str) -> EtcdMember:
        """The member at a client URL."""
        return next(member for member in self.members if member.url == url)

    async def leader(self, client: EtcdClient) -> EtcdMember:
        """The leader at this moment."""
        cluster = Cluster(client)
        status = await cluster.status(client.endpoints.best)
        return next(self.at(m.client_urls[0]) for m in await cluster.member_list() if m.id == status.leader)


@contextlib.contextmanager
def etcd(
    members: int = 1, *, tls: bool = False, heartbeat: int = 100, election: int = 1000, options: Sequence[str] = ()
) -> Iterator[Etcd]:
    """A running cluster, its data on a tmpfs; milliseconds as etcd's own options. Blocks until it is healthy."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    directory = Path(tempfile.mkdtemp(prefix="etcd-", dir=place))
    net = network()
    addresses = [f"{net}.{number}" for number in range(1, members + 1)]
    context, secure = _tls(directory, addresses) if tls else (None, ())
    timing = (f"--heartbeat-interval={heartbeat}", f"--election-timeout={election}")
    common = ("--pre-vote", "--enable-v2=false", "--logger=zap", "--log-outputs=stderr", *timing, *secure, *options)
    scheme = "https" if tls else "http"
    made = [EtcdMember(f"m{n}", address, directory, scheme, common, context) for n, address in enumerate(addresses, 1)]
    cluster = Etcd(directory, made, context)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def server_certificate(ca: Holder, addresses: Sequence[str]) -> Holder:
    """A certificate as heads have them: no common name, the addresses as alternative names, for both ends."""
    key = ec.generate_private_key(ec.SECP256R1())
    begins, ends = around_now()
    names: list[x509.GeneralName] = [x509.IPAddress(ip_address(address)) for address in addresses]
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "heads")]))
        .issuer_name(ca.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(usage, critical=False)
        .sign(ca.key, hashes.SHA256())
    )
    return Holder(certificate, key)


def _tls(directory: Path, addresses: Sequence[str]) -> tuple[ssl.SSLContext, tuple[str, ...]]:
    ca = authority("etcd")
    head = server_certificate(ca, [*addresses, "127.0.0.1"]).write(directory / "head.pem")
    (directory / "ca.pem").write_text(ca.pem)
    context = ssl.create_default_context(cadata=ca.pem)
    context.load_cert_chain(head)
    options: list[str] = []
    for side in ("", "peer-"):
        options += [f"--{side}cert-file={head}", f"--{side}key-file={head}"]
        options += [f"--{side}trusted-ca-file={directory / 'ca.pem'}", f"--{side}client-cert-auth"]
    return context, tuple(options)


@pytest.fixture(scope="module")
def one_etcd() -> Iterator[Etcd]:
    """One member for all tests of a file; each test uses a root of its own."""
    with etcd(heartbeat=20, election=200) as cluster:  # a leader is there at once
        yield cluster
