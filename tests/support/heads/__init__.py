"""Throw-away heads: machines with a real systemd, dbus, journal and polkit that boot in a second and leave nothing.

A head is a systemd-nspawn container over an overlay of this machine's own "/", whose units, homes and temporary
files are hidden; the agent is in it as `make install` lays it out. Its network is its own: heads and plain hosts
hang on one bridge that nobody else sees. Needs root, works whether or not systemd is PID 1, and any number of
runs side by side.

    with Heads() as heads:
        head = heads.boot("head1", store_size="64M")       # systemd runs, the agent is installed, not yet started
        head.write("/etc/systemd/system/clusterware-x.service", "[Service]\\nExecStart=/bin/sleep infinity\\n")
        head.start_agent(config="[files]\\nmin_age = 1s\\n")
        head.run("systemctl", "is-active", "clusterware-x")        # a command as root inside
        head.api("GET", "/head/services")                          # over the agent's Unix socket, from outside
        other = heads.host("other")                                # a network namespace with an address
        other.run("curl", "-k", f"https://{head.address}:52390/api/v1/head/peerurl")
        head.bus_address                                           # the head's system bus, to connect to from outside
        three = heads.boot_all("h1", "h2", "h3")                   # side by side, in about a second
        heads.network.cut_one_way("h1", "h2")                      # also: lose, partition, switch_down, repair
        three[0].signal(signal.SIGSTOP)                            # also: freeze, crash, kill_for_good
        heads.power_off(three[0])                                  # and power_on

Everything of a run lives in namespaces that one process, the keeper, holds. It ends when whoever started it is
gone, however that came about, and everything ends with it.
"""

from tests.support.heads.head import Head
from tests.support.heads.run import Heads, Host

__all__ = ["Head", "Heads", "Host"]
