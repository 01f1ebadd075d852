"""The package on a head on which nothing but it was installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agent import __version__
from tests.support.heads import Head, Heads
from tests.support.heads.head import UNIT, wait_for
from tests.support.installing import NAME, SOCKET_UNIT, active, answering, apt, dpkg, enabled, platform, put, state


def test_where_the_platform_is_the_agent_works_after_the_installation_alone(
    boot: Callable[[], Head], current: Path
) -> None:
    head = boot()
    platform(head)

    told = apt(head, current)

    assert (state(head), active(head), enabled(head)) == (("ii", __version__), ["active"] * 2, ["enabled"] * 2)
    assert answering(head) == __version__
    assert head.run("cw-headctl", "config", "check").stdout.count("\n") == 1
    assert not [line for line in told.stdout.splitlines() if line.startswith((f"{NAME}:", "To do"))]
    assert head.run("id", "-un", head.show(UNIT, "User")).stdout == "clusterware-agent\n"
    assert head.run("sh", "-c", "find /usr/lib/clusterware-head-agent -name __pycache__ | head -n 1").stdout
    assert "ClusterWare head agent: Agent started" in head.run("journalctl", "--list-catalog").stdout


def test_where_it_cannot_work_yet_nothing_runs_and_one_line_says_what_to_do(
    boot: Callable[[], Head], current: Path
) -> None:
    head = boot()

    told = dpkg(head, current).stderr.splitlines()

    assert (state(head)[0], active(head), enabled(head)) == ("ii", ["inactive"] * 2, ["disabled"] * 2)
    why, todo = (line for line in told if line.startswith(NAME))
    assert "[head] uid: is not set, and /opt/scyld/clusterware/conf/base.ini" in why
    command = todo.partition("mend that, then: ")[2]
    platform(head)
    head.run("sh", "-c", command)
    assert (answering(head), enabled(head)) == (__version__, ["enabled"] * 2)


def test_an_image_can_be_installed_into_and_works_when_it_is_booted(
    bare: Heads, boot: Callable[[], Head], current: Path
) -> None:
    head = boot()
    platform(head)
    head.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
    # An image has not all that a booted machine has: no systemd, and at times nothing at /dev/shm.
    bare_image = "mount -t tmpfs none /run && mount -t tmpfs -o ro none /dev/shm"
    install = f"{bare_image} && exec env DEBIAN_FRONTEND=noninteractive dpkg -i {put(head, current)}"

    head.run("unshare", "--mount", "--fork", "--pid", "sh", "-c", install)

    assert (state(head)[0], active(head), enabled(head)) == ("ii", ["inactive"] * 2, ["enabled"] * 2)
    bare.power_off(head)
    bare.power_on(head)
    wait_for(lambda: active(head) == ["active"] * 2, "both units")
    assert answering(head) == __version__


def test_at_an_images_first_boot_the_agent_waits_for_the_key_that_signs_its_tokens(
    bare: Heads, boot: Callable[[], Head], current: Path
) -> None:
    head = boot()
    platform(head)
    dpkg(head, current)
    key = "/etc/ssh/ssh_host_ed25519_key"
    # The key comes late, and at once when the agent has not waited for it.
    late = f"timeout 3 sh -c 'until systemctl -q is-active {UNIT}; do sleep 0.1; done'"
    head.write("/usr/local/sbin/make-key", f"#!/bin/sh\n{late}\nexec ssh-keygen -qN '' -t ed25519 -f {key}\n", 0o755)
    units = {
        "sshd-keygen@.service": "[Service]\nType=oneshot\nExecStart=/usr/local/sbin/make-key\n",
        "sshd-keygen.target": "[Unit]\nWants=sshd-keygen@ed25519.service\n",
        "multi-user.target.d/key.conf": "[Unit]\nWants=sshd-keygen.target\n",
    }
    for name, text in units.items():
        head.write(f"/etc/systemd/system/{name}", text)
    head.run("rm", key, f"{key}.pub")
    bare.power_off(head)

    bare.power_on(head)

    wait_for(lambda: active(head) == ["active"] * 2, "both units")
    assert head.run("cw-headctl", "token", "--lifespan", "5min", "--permissions", "HeadsRead").stdout


def test_where_a_policy_forbids_to_start_services_none_is_started(boot: Callable[[], Head], current: Path) -> None:
    head = boot()
    platform(head)
    head.write("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)

    dpkg(head, current)

    assert (state(head)[0], active(head), enabled(head)) == ("ii", ["inactive"] * 2, ["enabled"] * 2)
    head.systemctl("start", SOCKET_UNIT)
    assert answering(head) == __version__


def test_where_another_program_has_the_port_the_doctor_says_so(boot: Callable[[], Head], current: Path) -> None:
    head = boot()
    platform(head)
    head.write("/etc/systemd/system/other.socket", "[Socket]\nListenStream=52390\n")
    head.write("/etc/systemd/system/other.service", "[Service]\nExecStart=/bin/sleep infinity\n")
    head.systemctl("daemon-reload")
    head.systemctl("start", "other.socket")

    told = dpkg(head, current).stderr

    assert (state(head)[0], active(head)) == ("ii", ["inactive", "failed"])
    assert f"the agent does not start: `journalctl -u {UNIT} -u {SOCKET_UNIT}` tells why; mend that, then: " in told
    found = head.run("cw-headctl", "doctor", check=False).stdout
    assert "Failed to create listening socket ([::]:52390): Address already in use" in found
    head.systemctl("stop", "other.socket")
    head.run("sh", "-c", told.partition("mend that, then: ")[2])
    assert answering(head) == __version__
