"""What learned methods share: batches, the training loop with validation and exact resumption, the optimizer."""

from zoobench.methods.learning.examples import Examples
from zoobench.methods.learning.resume import Snapshots, identity_of
from zoobench.methods.learning.training import Recipe, joined, seeded, train

__all__ = ["Examples", "Recipe", "Snapshots", "identity_of", "joined", "seeded", "train"]
