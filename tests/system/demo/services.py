"""A few services with real, small programs, for a head that has none of the platform's own."""

from __future__ import annotations

PROGRAM = "/usr/local/lib/cw-demo-service"

PROGRAM_TEXT = '''\
#!/usr/bin/python3 -I
"""Answers each datagram on a UDP port with its own text; reloads on SIGHUP."""

import signal
import socket
import sys

from systemd.daemon import notify

signal.signal(signal.SIGHUP, lambda *_: notify("STATUS=reloaded"))
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("0.0.0.0", int(sys.argv[1])))
    notify("READY=1")
    while True:
        text, caller = server.recvfrom(2048)
        server.sendto(text, caller)
'''


def _unit(description: str, arguments: str, more: str = "") -> str:
    return f"""\
[Unit]
Description={description}

[Service]
Type=notify
ExecStart={PROGRAM} {arguments}
ExecReload=/bin/kill -HUP $MAINPID
{more}
[Install]
WantedBy=multi-user.target
"""


UNITS: dict[str, str] = {
    "clusterware-dhcpd.service": _unit("DHCP for compute nodes", "67", "Restart=on-failure"),
    "clusterware-tftpd.service": _unit("Boot files for compute nodes", "69"),
    "clusterware-dns.service": _unit("Names of compute nodes", "53", "Restart=on-failure\nRestartSec=1s"),
    "clusterware-worker@.service": _unit("Worker %i", "90%i"),
    "httpd.service": """\
[Unit]
Description=Images over HTTP

[Service]
ExecStart=/usr/bin/python3 -I -m http.server 80 --directory /srv/store

[Install]
WantedBy=multi-user.target
""",
    "chronyd.service": _unit("Time", "123"),
}
"""Unit files by name."""

STARTED = ("clusterware-dhcpd", "clusterware-tftpd", "clusterware-dns", "clusterware-worker@1", "httpd")
"""What is enabled and runs; the others are installed only."""
