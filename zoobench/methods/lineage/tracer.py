"""A measure of how far apart models are, made a tracer: calibrated on trained families."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from zoo_generation.errors import InputError
from zoo_generation.files import directory_written_aside, read_json, write_json
from zoo_generation.settings import sentence
from zoobench.methods.lineage.calibration import Calibration, calibrated, few
from zoobench.methods.lineage.directions import Direction, trait_of
from zoobench.methods.protocols import HERE, Execution
from zoobench.methods.unlearned import Unlearned
from zoobench.populations import Population, TokenSet

FILE = "tracer.json"


@dataclass(frozen=True)
class Measure:
    """How far apart models are, and what tells the older one of two. It is the configuration of a `MeasureTracer`.

    direction: see `directions`; None if the measure takes both ways as equal.
    """

    direction: Direction | None = None

    def apart(self, children: Population, candidates: Population) -> Tensor:
        """How far apart they are [children, candidates], 0 or more."""
        raise NotImplementedError

    def trait(self, models: Population) -> Tensor | None:
        """What tells the older of two models, [models]; None if nothing does."""
        return None if self.direction is None else trait_of(models, self.direction)


@dataclass(frozen=True, eq=False)
class MeasureTracer:
    """Scores candidates by a measure: above 0 if they are as near as parents of training models are."""

    config: Measure
    calibration: Calibration

    @classmethod
    def fit(cls, tokens: TokenSet, seed: int, config: Measure, execution: Execution = HERE) -> MeasureTracer:
        """Calibrate on families of training models. In a zoo without children, no candidate is ever near enough."""
        trait = None if config.direction is None else partial(trait_of, direction=config.direction)
        return cls(config, calibrated(few(tokens.split("train").populations, seed), config.apart, trait))

    def trace(self, children: Population, candidates: Population) -> Tensor:
        """See `Tracer`."""
        apart = self.config.apart(children, candidates)
        return self.calibration.scores(apart, self.config.trait(children), self.config.trait(candidates))

    def save(self, path: Path) -> None:
        kept = {"measure": type(self.config).__name__, "config": asdict(self.config)}
        with directory_written_aside(path) as aside:
            write_json(aside / FILE, kept | {"calibration": asdict(self.calibration)})

    @classmethod
    def load(cls, path: Path) -> MeasureTracer:
        """Read what `save` wrote. Raises `InputError` if it is damaged."""
        kept: Any = read_json(path / FILE, "the fitted tracer")
        kinds = {kind.__name__: kind for kind in _kinds_of(Measure)}
        try:
            config = TypeAdapter(kinds[kept["measure"]]).validate_python(kept["config"])
            return cls(config, TypeAdapter(Calibration).validate_python(kept["calibration"]))
        except (KeyError, TypeError) as error:
            raise InputError(f"{path / FILE} is damaged ({error!r}); make it again") from None
        except ValidationError as error:
            raise InputError(f"{path / FILE} is damaged ({sentence(error)}); make it again") from None


def _kinds_of(kind: type[Measure]) -> Iterator[type[Measure]]:
    for each in kind.__subclasses__():
        yield each
        yield from _kinds_of(each)


@dataclass(frozen=True)
class RandomTracer(Unlearned):
    """Scores drawn at random; of a child's candidates, one is above 0 on average."""

    seed: int = 0

    def trace(self, children: Population, candidates: Population) -> Tensor:
        """See `Tracer`."""
        generator = torch.Generator().manual_seed(self.seed)
        return torch.rand(len(children), len(candidates), generator=generator) - 1 + 1 / max(2, len(candidates))
