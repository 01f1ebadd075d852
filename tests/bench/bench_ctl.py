"""What cw-headctl costs before it does anything: whole commands against scripts that ask the same with http.client.

The command runs as it is installed: compiled, started by its launcher, on the distribution's Python. Both are run in
turn; ratios are of medians.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from tests.support.ctl import ONE, ROOT, THREE_HEADS, service
from tests.support.scripted_agent import Answers, ok, scripted

ROUNDS = 41
GOAL = 1.5
PYTHON = ("/usr/bin/python3", "-I")
BASELINE = """\
import http.client, json, socket, sys
connection = http.client.HTTPConnection("localhost")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect(sys.argv[1])
connection.request("GET", "/api/v1" + sys.argv[2])
data = json.loads(connection.getresponse().read())["data"]
for row in data.values() if isinstance(data, dict) else data:
    print(*row.values(), sep="  ")
"""
COMMANDS = {"heads ls": "/heads", "services ls": "/head/services", "database backups": "/database/backups"}
ANSWERS: Answers = {
    "GET /heads": ok(THREE_HEADS),
    "GET /head/services": ok([service(f"service{n}") for n in range(10)]),
    "GET /database/backups": ok([{"name": ONE, "bytes": 1, "made": "-"}]),
}


def install(directory: Path) -> Path:
    """The command, laid out and compiled as `make install` does it."""
    shutil.copytree(ROOT / "agent", directory / "agent", ignore=shutil.ignore_patterns("__pycache__"))
    launcher = directory / "cw-headctl"
    launcher.write_text((ROOT / "packaging/launcher.in").read_text().replace("@MODULE@", "agent.ctl"))
    subprocess.run([*PYTHON, "-m", "compileall", "-q", str(directory)], check=True)
    return launcher


def took(command: list[str]) -> float:
    """Seconds from start to end."""
    begun = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begun


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        launcher = install(directory / "installed")
        (directory / "baseline.py").write_text(BASELINE)
        with scripted(directory, ANSWERS) as agent:
            for words, route in COMMANDS.items():
                baseline = [*PYTHON, str(directory / "baseline.py"), str(agent.socket), route]
                command = [*PYTHON, str(launcher), "--socket", str(agent.socket), *words.split()]
                pairs = [(took(baseline), took(command)) for _ in range(ROUNDS)]
                base, own = (statistics.median(pair[side] for pair in pairs) * 1000 for side in (0, 1))
                print(
                    f"cw-headctl {words}, ms: http.client script {base:.1f}, command {own:.1f}, "
                    f"ratio {own / base:.2f} (goal: at most {GOAL})"
                )


if __name__ == "__main__":
    main()
