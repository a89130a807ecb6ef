"""Benchmark suite and dataset toolkit for weight space learning.

    import zoobench as zb

    zoo = zb.build_zoo(datasets=["mnist"], architectures=["cnn_s"], seeds=16, epochs=6)
    found = zb.evaluate(["sane", "layer_statistics"], zoo, tasks=["property_prediction", "generation"])
    found.standings()

Functions and types are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from zoo_generation import __version__ as __version__  # settles how threads wait, before anything imports PyTorch

if TYPE_CHECKING:
    from zoo_generation.data.images import Images
    from zoo_generation.errors import AccessError, InputError
    from zoo_generation.progress import QUIET, Progress, Update
    from zoo_generation.training.spec import ZooSpec
    from zoobench.api import (
        build_zoo,
        compare_entries,
        embed,
        evaluate,
        export_track,
        export_zoo,
        fit,
        generate,
        get_method,
        get_task,
        get_track,
        import_architecture,
        import_zoo,
        inspect_zoo,
        list_architectures,
        list_datasets,
        list_exporters,
        list_importers,
        list_methods,
        list_presets,
        list_tasks,
        list_tracks,
        load_boards,
        load_leaderboard,
        load_method,
        load_tokens,
        load_zoo,
        plan_study,
        rebuild_tracks,
        run_demo,
        run_study,
        run_track,
        save_embeddings,
        save_tokens,
        submit,
        validate_tokens,
        validate_zoo,
        verify,
        verify_fresh,
        write_site,
    )
    from zoobench.evaluation import Plan, Results
    from zoobench.leaderboard import Board, Entry, Finding, Track
    from zoobench.leaderboard.board import Difference
    from zoobench.leaderboard.rebuilding import Rebuilt, Refreshed
    from zoobench.leaderboard.running import FailedError
    from zoobench.methods import (
        Attributor,
        Embedder,
        Execution,
        Generator,
        InapplicableError,
        LayerEmbedder,
        Merger,
        Method,
        Predictor,
        Reconstructor,
        Tracer,
        Transferrer,
        Unlearned,
    )
    from zoobench.methods.fitting import Fitted
    from zoobench.methods.generation import Generated, TargetChoice
    from zoobench.populations import Access, Evidence, Population, RandomWindows, TokenSet, Windows, kept_statuses
    from zoobench.studies import Study, StudyResults
    from zoobench.tasks.answers import Predictions, Scores, Weights
    from zoobench.tasks.base import Setting, Task
    from zoobench.tasks.estimates import Estimate
    from zoobench.zoo import Zoo
    from zoobench.zoo.importers import Imported
    from zoobench.zoo.inspection import ZooReport
    from zoobench.zoo.validation import ValidationReport
    from zoobench.zoo.workspace import Workspace

_WHERE = {
    "zoo_generation.data.images": [
        "Images",
    ],
    "zoo_generation.errors": (
        "AccessError",
        "InputError",
    ),
    "zoo_generation.progress": (
        "Progress",
        "QUIET",
        "Update",
    ),
    "zoo_generation.training.spec": [
        "ZooSpec",
    ],
    "zoobench.api": (
        "build_zoo",
        "compare_entries",
        "embed",
        "evaluate",
        "export_track",
        "export_zoo",
        "fit",
        "generate",
        "get_method",
        "get_task",
        "get_track",
        "import_architecture",
        "import_zoo",
        "inspect_zoo",
        "list_architectures",
        "list_datasets",
        "list_exporters",
        "list_importers",
        "list_methods",
        "list_presets",
        "list_tasks",
        "list_tracks",
        "load_boards",
        "load_leaderboard",
        "load_method",
        "load_tokens",
        "load_zoo",
        "plan_study",
        "rebuild_tracks",
        "run_demo",
        "run_study",
        "run_track",
        "save_embeddings",
        "save_tokens",
        "submit",
        "validate_tokens",
        "validate_zoo",
        "verify",
        "verify_fresh",
        "write_site",
    ),
    "zoobench.evaluation": (
        "Plan",
        "Results",
    ),
    "zoobench.leaderboard": (
        "Board",
        "Entry",
        "Finding",
        "Track",
    ),
    "zoobench.leaderboard.board": [
        "Difference",
    ],
    "zoobench.leaderboard.rebuilding": (
        "Rebuilt",
        "Refreshed",
    ),
    "zoobench.leaderboard.running": [
        "FailedError",
    ],
    "zoobench.methods": (
        "Attributor",
        "Embedder",
        "Execution",
        "Generator",
        "InapplicableError",
        "LayerEmbedder",
        "Merger",
        "Method",
        "Predictor",
        "Reconstructor",
        "Tracer",
        "Transferrer",
        "Unlearned",
    ),
    "zoobench.methods.fitting": [
        "Fitted",
    ],
    "zoobench.methods.generation": (
        "Generated",
        "TargetChoice",
    ),
    "zoobench.populations": (
        "Access",
        "Evidence",
        "Population",
        "RandomWindows",
        "TokenSet",
        "Windows",
        "kept_statuses",
    ),
    "zoobench.studies": (
        "Study",
        "StudyResults",
    ),
    "zoobench.tasks.answers": (
        "Predictions",
        "Scores",
        "Weights",
    ),
    "zoobench.tasks.base": (
        "Setting",
        "Task",
    ),
    "zoobench.tasks.estimates": [
        "Estimate",
    ],
    "zoobench.zoo": [
        "Zoo",
    ],
    "zoobench.zoo.importers": [
        "Imported",
    ],
    "zoobench.zoo.inspection": [
        "ZooReport",
    ],
    "zoobench.zoo.validation": [
        "ValidationReport",
    ],
    "zoobench.zoo.workspace": [
        "Workspace",
    ],
}
"""Where each name is, by module."""

_MODULES = {name: module for module, names in _WHERE.items() for name in names}

__all__ = [
    "QUIET",
    "Access",
    "AccessError",
    "Attributor",
    "Board",
    "Difference",
    "Embedder",
    "Entry",
    "Estimate",
    "Evidence",
    "Execution",
    "FailedError",
    "Finding",
    "Fitted",
    "Generated",
    "Generator",
    "Images",
    "Imported",
    "InapplicableError",
    "InputError",
    "LayerEmbedder",
    "Merger",
    "Method",
    "Plan",
    "Population",
    "Predictions",
    "Predictor",
    "Progress",
    "RandomWindows",
    "Rebuilt",
    "Reconstructor",
    "Refreshed",
    "Results",
    "Scores",
    "Setting",
    "Study",
    "StudyResults",
    "TargetChoice",
    "Task",
    "TokenSet",
    "Tracer",
    "Track",
    "Transferrer",
    "Unlearned",
    "Update",
    "ValidationReport",
    "Weights",
    "Windows",
    "Workspace",
    "Zoo",
    "ZooReport",
    "ZooSpec",
    "build_zoo",
    "compare_entries",
    "embed",
    "evaluate",
    "export_track",
    "export_zoo",
    "fit",
    "generate",
    "get_method",
    "get_task",
    "get_track",
    "import_architecture",
    "import_zoo",
    "inspect_zoo",
    "kept_statuses",
    "list_architectures",
    "list_datasets",
    "list_exporters",
    "list_importers",
    "list_methods",
    "list_presets",
    "list_tasks",
    "list_tracks",
    "load_boards",
    "load_leaderboard",
    "load_method",
    "load_tokens",
    "load_zoo",
    "plan_study",
    "rebuild_tracks",
    "run_demo",
    "run_study",
    "run_track",
    "save_embeddings",
    "save_tokens",
    "submit",
    "validate_tokens",
    "validate_zoo",
    "verify",
    "verify_fresh",
    "write_site",
]


def __getattr__(name: str) -> Any:
    """The function or type of that name, loaded now."""
    if name not in _MODULES:
        raise AttributeError(f"module 'zoobench' has no attribute '{name}'")
    found = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
