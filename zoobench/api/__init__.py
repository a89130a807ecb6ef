"""What a Python user types: `import zoobench as zb`. Names become things here, and nowhere below.

Each command of the shell has its function. Rooms are imported when a function needs them, so that `import zoobench` is
quick, and loads neither PyTorch nor Ray.
"""

from zoobench.api.leaderboards import (
    compare_entries,
    export_track,
    get_track,
    load_boards,
    load_leaderboard,
    rebuild_tracks,
    run_track,
    submit,
    verify,
    verify_fresh,
    write_site,
)
from zoobench.api.listing import (
    list_architectures,
    list_datasets,
    list_exporters,
    list_importers,
    list_methods,
    list_presets,
    list_tasks,
    list_tracks,
)
from zoobench.api.methods import embed, fit, generate, get_method, load_method, save_embeddings
from zoobench.api.studies import evaluate, get_task, plan_study, run_demo, run_study
from zoobench.api.zoos import (
    build_zoo,
    export_zoo,
    import_architecture,
    import_zoo,
    inspect_zoo,
    load_tokens,
    load_zoo,
    save_tokens,
    validate_tokens,
    validate_zoo,
)

__all__ = [
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
]
