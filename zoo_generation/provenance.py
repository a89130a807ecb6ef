"""The origin of a zoo or a result, as every card and entry records it."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from pathlib import Path

import torch

from zoo_generation import __version__
from zoo_generation.machine import cores


def versions() -> dict[str, str]:
    """Versions of the packages that results depend on."""
    return {"zoobench": __version__, "torch": torch.__version__}


def hardware() -> str:
    """The processor's architecture and the number of its cores that this process may use."""
    return f"{platform.machine()}, {cores()} cores"


def command() -> str:
    """The running command, as the user gave it: `zoobench …`, or the program in Python that called us, without its
    folder."""
    program, *arguments = sys.argv
    name = Path(program).name
    return shlex.join([*(["zoobench"] if name in ("zoobench", "__main__.py") else ["python", name]), *arguments])


def commit() -> str:
    """The commit of the running code, with `+` if files differ from it; `released` outside of a checkout."""
    here = ["git", "-C", str(Path(__file__).parent)]
    try:
        found = subprocess.run([*here, "describe", "--always", "--dirty=+"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "released"
    return found.stdout.strip()
