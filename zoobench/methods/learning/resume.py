"""The state on disk from which an interrupted training goes on."""

from __future__ import annotations

import hashlib
import io
import pickle
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from zoo_generation.files import sha256_of, sweep, written_aside
from zoo_generation.machine import refusal
from zoobench.populations import TokenSet
from zoobench.zoo.store import digests_of

DIGEST = 64  # bytes behind a snapshot: its SHA-256, because torch does not detect changed bits
SECONDS = 10.0  # between snapshots, at least
SHARE = 0.03  # of the time, at most, that writing them may take


@dataclass
class Snapshots:
    """One file that holds the latest state of a training, whole or not at all.

    identity: of the training; a file of another training is not read, but replaced.
    """

    file: Path
    identity: str
    _due: float = field(default_factory=lambda: time.monotonic() + SECONDS)

    def write_if_due(self, state: Callable[[], dict[str, object]]) -> None:
        """Write the state if the last time is long enough ago."""
        if time.monotonic() >= self._due:
            self.write(state)

    def write(self, state: Callable[[], dict[str, object]]) -> None:
        """Write the state. If it cannot be written, only warn."""
        started = time.monotonic()
        content = {"identity": self.identity, "state": state()}
        try:
            with written_aside(self.file) as aside:
                with aside.open("wb") as file:  # PyTorch itself does not say why it cannot write
                    torch.save(content, file)
                digest = sha256_of(aside).encode()
                with aside.open("ab") as file:
                    file.write(digest)
        except (OSError, RuntimeError) as error:
            if (reason := refusal(error)) is None:
                raise
            warnings.warn(f"the training goes on, but could not be resumed from here: {reason}", stacklevel=2)
        ended = time.monotonic()
        self._due = ended + max(SECONDS, (ended - started) / SHARE)

    def read(self) -> dict[str, Any] | None:
        """The state of this training. None if there is none, or it is damaged."""
        try:
            content = self.file.read_bytes()
            if hashlib.sha256(content[:-DIGEST]).hexdigest().encode() != content[-DIGEST:]:
                return None
            found = torch.load(io.BytesIO(content[:-DIGEST]), weights_only=True)
            return found["state"] if found["identity"] == self.identity else None
        except (OSError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError, EOFError, ValueError):
            return None

    def clear(self) -> None:
        """Delete the state: the training has ended."""
        with suppress(OSError):
            self.file.unlink()
        if self.file.parent.is_dir():
            sweep(self.file.parent)
            with suppress(OSError):
                self.file.parent.rmdir()  # unless it holds something else


def identity_of(tokens: TokenSet, seed: int, config: object) -> str:
    """What identifies a training: only the same training may go on from where it was interrupted."""
    models = [
        (
            p.name,
            p.table.drop(columns="seconds", errors="ignore").to_csv(),
            [digests_of(piece) for piece in p.rows.pieces()],
        )
        for p in tokens.populations
    ]
    return hashlib.sha256(repr((tokens.token_size, models, seed, config)).encode()).hexdigest()
