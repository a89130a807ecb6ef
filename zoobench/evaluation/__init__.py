"""Zoo compositions × methods × targets: fit once, measure everything, keep what was made."""

from zoobench.evaluation.run import Evaluation, Stage, fitted, fitted_path, run, token_set

__all__ = ["Evaluation", "Stage", "fitted", "fitted_path", "run", "token_set"]
