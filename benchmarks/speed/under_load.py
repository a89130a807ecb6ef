"""How long a command takes beside other work: once on a quiet machine, once beside processes that keep cores busy.

    python benchmarks/speed/under_load.py
    python benchmarks/speed/under_load.py --busy 8 -- zoobench build-zoo --datasets digits --seeds 4 --epochs 2

Prints seconds and their ratio. A command of threads that wait in busy loops takes many times as long beside other work
as its share of the cores says; `OMP_WAIT_POLICY=ACTIVE` before the command shows what it is without passive waiting.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from zoo_generation.machine import cores

DEMO = [sys.executable, "-m", "zoobench", "demo", "--home", "demo"]


def main() -> None:
    """Run the command twice, quiet and beside other work."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=int, default=2, help="processes that keep a core busy each")
    parser.add_argument("--repeats", type=int, default=1, help="of both; the least counts")
    parser.add_argument("command", nargs="*", default=DEMO, help="zoobench demo, where none is given")
    asked = parser.parse_args()
    before = os.getloadavg()[0]
    quiet = min(seconds(asked.command) for _ in range(asked.repeats))
    with load(asked.busy):
        loaded = min(seconds(asked.command) for _ in range(asked.repeats))
    print(f"{cores()} cores, load before {before:.1f}, OMP_WAIT_POLICY={os.environ['OMP_WAIT_POLICY']}")
    print(f"quiet {quiet:.0f} s, beside {asked.busy} busy processes {loaded:.0f} s: {loaded / quiet:.1f} times as long")


def seconds(command: list[str]) -> float:
    """How long a command takes in an empty folder of its own; ends this script where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        ended = time.perf_counter()
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-500:]}")
    return ended - started


@contextmanager
def load(count: int) -> Iterator[None]:
    """So many processes that do nothing, as fast as they can."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


if __name__ == "__main__":
    main()
