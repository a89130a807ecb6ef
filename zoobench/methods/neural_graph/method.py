"""Neural graphs as a method: a graph network trained on the units of models, of one or of many architectures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from zoobench.methods.learning.bounds import check_at_least
from zoobench.methods.neural_graph.model import GraphNetwork, Grid
from zoobench.methods.protocols import InapplicableError
from zoobench.methods.supervised import Readable, ReaderConfig, Supervised
from zoobench.methods.units import Kind, graph_of, with_canonical_signs
from zoobench.populations import Population

MOST_PAIRS = 2**18  # of units that one model's weights join: a ResNet-18 of width 1/4 has 88,000
PAIRS = 2**18  # of all models at once


@dataclass(frozen=True)
class NeuralGraphConfig(ReaderConfig):
    """How the graph network is trained, see `ReaderConfig`; and width: of nodes and edges too; rounds: of messages."""

    learning_rate: float = 2e-3
    width: int = 32
    rounds: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 0, "rounds")


@dataclass(frozen=True)
class Grids:
    """The most rows and columns of weights between two units, by kind; no kind that no model has."""

    by_kind: dict[Kind, Grid]


class NeuralGraph(Supervised[NeuralGraphConfig, Grids]):
    """Embeds any networks whose units can be followed, up to a size."""

    name: ClassVar[str] = "neural_graph"
    config_type: ClassVar[type] = NeuralGraphConfig
    shape_type: ClassVar[type] = Grids

    @classmethod
    def shape_of(cls, populations: Sequence[Population], config: NeuralGraphConfig) -> Grids:
        largest: dict[Kind, Grid] = {}
        for each in (edges for population in populations for edges in graph_of(population).edges):
            (rows, columns), (most_rows, most_columns) = each.grid, largest.get(each.kind, (0, 0))
            largest[each.kind] = max(rows, most_rows), max(columns, most_columns)
        return Grids(largest)

    def build(self) -> GraphNetwork:
        return GraphNetwork(self.config.width, self.config.rounds, self.shape.by_kind)

    def readable(self, population: Population, device: str) -> Readable:
        graph = graph_of(population)
        if graph.size > MOST_PAIRS:
            raise InapplicableError(
                f"the weights of a model of {population.name} join {graph.size:,} pairs of units, and neural_graph "
                f"reads at most {MOST_PAIRS:,}; take narrower models, or statistics of layers"
            )
        for each in graph.edges:
            rows, columns = self.shape.by_kind.get(each.kind, (0, 0))
            if each.grid[0] > rows or each.grid[1] > columns:
                raise InapplicableError(
                    f"'{each.entry.name}' of {population.name} has {each.grid[0]} × {each.grid[1]} weights between two "
                    f"units, and this neural_graph was fitted to at most {rows} × {columns}; fit it to a zoo that has "
                    "such layers"
                )
        weights = with_canonical_signs(population).to(device)
        return Readable(lambda rows: self.network(graph, weights[rows]), max(1, PAIRS // graph.size))
