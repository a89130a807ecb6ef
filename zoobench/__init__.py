"""Benchmark suite and dataset toolkit for weight space learning.

    import zoobench as zb

    zoo = zb.build_zoo(datasets=["mnist"], architectures=["cnn_s"], seeds=16, epochs=6)
    found = zb.evaluate(["sane", "layer_statistics"], zoo, tasks=["property_prediction", "generation"])
    found.standings()

What is here is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from zoo_generation import __version__ as __version__  # settles how threads wait, before anything imports PyTorch

if TYPE_CHECKING:
    from zoo_generation.data.images import Images as Images
    from zoo_generation.errors import AccessError as AccessError
    from zoo_generation.errors import InputError as InputError
    from zoo_generation.progress import Progress as Progress
    from zoo_generation.training.spec import ZooSpec as ZooSpec
    from zoobench.api import (
        build_zoo as build_zoo,
    )

_FUNCTIONS = (
    *("build_zoo", "load_zoo", "import_zoo", "export_zoo", "validate_zoo", "inspect_zoo"),
    *("load_tokens", "save_tokens", "fit", "load_method", "embed", "generate"),
    *("evaluate", "run_study", "plan_study", "run_track", "submit", "load_leaderboard", "verify"),
    *("get_method", "get_task", "list_methods", "list_tasks", "list_datasets", "list_architectures", "list_presets"),
    *("list_tracks", "list_importers", "list_exporters"),
)
