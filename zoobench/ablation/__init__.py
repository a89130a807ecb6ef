"""Zoo compositions × methods × targets: fit once, measure everything, keep what was made."""

from zoobench.ablation.run import Evaluation, run

__all__ = ["Evaluation", "run"]
