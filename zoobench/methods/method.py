"""A method as zoobench knows it, built in or of another package: its class, its configurations, what it is like."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo_generation.errors import unknown
from zoo_generation.settings import changed
from zoobench.methods.protocols import Fit, Fitted, Learned


@dataclass(frozen=True, eq=False)
class Method:
    """A method: its class, and its configurations by name.

    The first configuration is the default. A `baseline` is what others are shown beside. One that is not `random`
    gives the same under every seed, and is measured under one. One that does not `learn` is the same whatever token set
    it is fitted to.
    """

    name: str
    kind: type[Fitted]
    presets: Mapping[str, object] = field(default_factory=lambda: {"default": None})
    baseline: bool = False
    random: bool = True
    learns: bool = True

    @property
    def fit(self) -> Fit:
        return self.kind.fit

    @property
    def load(self) -> Callable[[Path], Learned]:
        return self.kind.load

    def identity(self, config: object) -> str:
        """What decides what it learns, besides data and seed: how it is configured and, of a method of another package,
        the text of its module, which changes while it is written."""
        module = sys.modules[self.kind.__module__]
        if module.__name__.partition(".")[0] == "zoobench" or not module.__file__:
            return repr(config)
        return f"{config!r}:{hashlib.sha256(Path(module.__file__).read_bytes()).hexdigest()}"

    def config(self, preset: str | None, settings: Mapping[str, Any] | None = None) -> object:
        """The configuration of that name, with `settings` such as `window: 32` in place of its own.

        Raises `InputError` where there is none such, and for settings that it does not have or cannot take.
        """
        if preset is not None and preset not in self.presets:
            raise unknown(f"preset of {self.name}", preset, self.presets)
        config = self.presets[preset] if preset is not None else next(iter(self.presets.values()))
        return changed(config, settings or {}, "hyperparameter")
