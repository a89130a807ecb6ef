"""What made a zoo or a result: said the same way in every card and entry."""

from __future__ import annotations

import os
import platform

import torch

from zoobench import __version__


def versions() -> dict[str, str]:
    """Versions of the code that decides numbers."""
    return {"zoobench": __version__, "torch": torch.__version__}


def hardware() -> str:
    """The processor's architecture and the number of its cores."""
    return f"{platform.machine()}, {os.cpu_count()} cores"
