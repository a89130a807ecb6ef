"""Neural functionals as a method: for models that are chains of the same depth and kernels; widths may differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from zoo_generation.errors import InputError
from zoobench.methods.learning.bounds import check_at_least
from zoobench.methods.nfn.model import Chain, NeuralFunctional
from zoobench.methods.protocols import InapplicableError
from zoobench.methods.supervised import Readable, ReaderConfig, Supervised
from zoobench.methods.units import graph_of, with_canonical_signs
from zoobench.populations import Population

PAIRS = 2**18  # of units that the weights of all models at once join


@dataclass(frozen=True)
class NfnConfig(ReaderConfig):
    """How the functional is trained, see `ReaderConfig`; and channels: of weights before each of its layers, and after
    the last; hidden: width of the layer before the features."""

    steps: int = 400
    learning_rate: float = 2e-3
    channels: tuple[int, ...] = (16, 16, 16, 5)
    hidden: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "hidden")
        if min(self.channels, default=0) < 1:
            raise InputError(f"'channels' is {list(self.channels)}; take one or more numbers, each 1 or more")


class Nfn(Supervised[NfnConfig, Chain]):
    """Embeds chains of linear layers and convolutions."""

    name: ClassVar[str] = "nfn"
    config_type: ClassVar[type] = NfnConfig
    shape_type: ClassVar[type] = Chain

    @classmethod
    def shape_of(cls, populations: Sequence[Population], config: NfnConfig) -> Chain:
        chains = [Chain.of(graph_of(each), each.name) for each in populations]
        for each, chain in zip(populations, chains, strict=True):
            _check(chain, chains[0], each.name)
        return chains[0]

    def build(self) -> NeuralFunctional:
        return NeuralFunctional(self.shape, self.config.channels, self.config.hidden, self.config.width)

    def readable(self, population: Population, device: str) -> Readable:
        graph = graph_of(population)
        _check(Chain.of(graph, population.name), self.shape, population.name)
        weights = with_canonical_signs(population).to(device)
        return Readable(lambda rows: self.network(graph, weights[rows]), max(1, PAIRS // graph.size))


def _check(chain: Chain, expected: Chain, name: str) -> None:
    """Raises `InapplicableError` for other chains."""
    if chain != expected:
        raise InapplicableError(
            f"the networks of {name} are {chain.words}, and this nfn reads {expected.words}; fit it to one kind, or "
            "take neural_graph"
        )
