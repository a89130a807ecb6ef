"""What has nothing to fit, and nothing to keep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from zoobench.methods.base import HERE, Execution
from zoobench.tokens import TokenSet


@dataclass(frozen=True)
class Unlearned:
    """Fitting and saving have nothing to do."""

    @classmethod
    def fit(cls, tokens: TokenSet, seed: int, config: None, execution: Execution = HERE) -> Self:
        return cls()

    @classmethod
    def load(cls, path: Path) -> Self:
        return cls()

    def save(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
