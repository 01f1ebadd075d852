"""Changes of engine, each killed (SIGKILL) at every one of its steps: `python -m tests.soak.engines`.

Ends with status 1 at the first that loses a record, leaves something behind, or cannot be ended by asking again.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.support.killed_engines import ENDS, attempts, wrong


def main() -> int:
    """Do it; the exit status."""
    with tempfile.TemporaryDirectory() as place:
        for what in ENDS:
            runs = attempts(what, Path(place) / what, 1, 1)
            for run in runs:
                if faults := wrong(what, run):
                    print(f"BROKEN: {what}, killed at step {run['step']}: {'; '.join(faults)}", flush=True)
                    return 1
            print(f"{what}: killed at each of {len(runs) - 1} steps, nothing broke", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
