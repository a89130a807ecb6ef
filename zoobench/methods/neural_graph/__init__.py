"""Graph networks on the units of networks, of one or of many architectures.

Source: Kofinas et al., Graph neural networks for learning equivariant representations of neural networks, ICLR 2024,
arXiv 2403.12143.
"""

from zoobench.methods.method import Method
from zoobench.methods.neural_graph.method import NeuralGraph, NeuralGraphConfig

__all__ = ["METHOD", "NeuralGraph", "NeuralGraphConfig"]

METHOD = Method(
    "neural_graph",
    NeuralGraph,
    {"tiny": NeuralGraphConfig(), "small": NeuralGraphConfig(steps=6000, width=64, rounds=4)},
    summary="Embeds a model by message passing on the graph of its units; any architecture",
    paper="arXiv 2403.12143",
)
