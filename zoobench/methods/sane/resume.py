"""What an interrupted training needs to go on, on disk."""

from __future__ import annotations

import hashlib
import io
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from zoobench.files import sha256_of, written_aside

DIGEST = 64  # bytes behind a snapshot: its SHA-256, since torch does not see that bits have changed
SECONDS = 10.0  # between snapshots, at least
SHARE = 0.03  # of the time, at most, that writing them may take


@dataclass
class Snapshots:
    """One file that holds the latest state of a training, whole or not at all.

    identity: what the training is of; a file of another one is not read, and is replaced.
    """

    file: Path
    identity: str
    _due: float = field(default_factory=lambda: time.monotonic() + SECONDS)

    def write_if_due(self, state: Callable[[], dict[str, object]]) -> None:
        """Write the state if the last time is long enough ago."""
        started = time.monotonic()
        if started < self._due:
            return
        with written_aside(self.file) as aside:
            torch.save({"identity": self.identity, "state": state()}, aside)
            digest = sha256_of(aside).encode()
            with aside.open("ab") as content:
                content.write(digest)
        ended = time.monotonic()
        self._due = ended + max(SECONDS, (ended - started) / SHARE)

    def read(self) -> dict[str, Any] | None:
        """The state of this training; none where there is none, or it is damaged."""
        try:
            content = self.file.read_bytes()
            if hashlib.sha256(content[:-DIGEST]).hexdigest().encode() != content[-DIGEST:]:
                return None
            found = torch.load(io.BytesIO(content[:-DIGEST]), weights_only=True)
            return found["state"] if found["identity"] == self.identity else None
        except (OSError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError, EOFError, ValueError):
            return None

    def clear(self) -> None:
        """The training has ended."""
        self.file.unlink(missing_ok=True)
