"""Build a zoo: train the models of a spec that are missing, and write the card."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from zoo_generation.data.load import Datasets
from zoo_generation.errors import InputError
from zoo_generation.files import StoragePath
from zoo_generation.networks.architectures import get_architecture, import_architecture
from zoo_generation.progress import QUIET, Progress
from zoo_generation.training.jobs import Start, dataset_key, load_datasets, train_zoo
from zoo_generation.training.memory import check_memory
from zoo_generation.training.presets import preset_names
from zoo_generation.training.spec import ModelSpec, ZooSpec, make_spec, read_spec
from zoo_generation.training.train import stack_key
from zoo_generation.training.trial import why_alone
from zoobench.zoo.forking import Trunks, generations, without_start
from zoobench.zoo.landscape.survey import measure_landscape
from zoobench.zoo.sink import ZooSink
from zoobench.zoo.store import Zoo
from zoobench.zoo.workspace import Workspace


def spec_of(spec: str | Path | None = None, **fields: Any) -> ZooSpec:
    """The spec of a preset or a YAML file, with the given values for its fields; None leaves a field unchanged.

    Without a spec the datasets are `digits`, which come with zoobench. Raises `InputError` for an unknown preset or
    field, and for a value that a field does not allow.

    >>> spec_of(architectures=["mlp"], seeds=4).title
    'digits-mlp'
    >>> spec_of("cnn-seed", datasets=["mnist"]).title
    'cnn-seed-mnist'
    """
    values = {"datasets": ["digits"]} | (read_spec(str(spec)) if spec else {})
    values |= {field: value for field, value in fields.items() if value is not None}
    if spec in preset_names():
        datasets = values["datasets"]
        values.setdefault("name", f"{spec}-{datasets if isinstance(datasets, str) else '+'.join(datasets)}")
    return make_spec(values)


def build_zoo(
    spec: ZooSpec,
    path: StoragePath,
    workspace: Workspace | None = None,
    progress: Progress = QUIET,
    stack_size: int | None = None,
) -> Zoo:
    """Train the models of a spec that the zoo at `path` lacks, children after their trunks, and return the zoo; with a
    `landscape_epoch`, measure what its landscape lacks.

    stack_size: models trained at once; None for as many as fit into memory. Raises `InputError` if another build holds
    the zoo, if there is a zoo of another spec, if the images cannot be loaded, or if a model is too large.
    """
    workspace = workspace or Workspace()
    for architecture in spec.user_architectures():
        import_architecture(architecture)
    models, fields = spec.models(), spec.model_dump(mode="json")
    sink = ZooSink(path.absolute())
    if (path / "zoo.json").exists() and Zoo(path).card.get("spec") != fields:
        raise InputError(f"{path} holds a zoo of another spec; choose another --out or --name, or delete it")
    done = sink.done()
    missing = [model for model in models if model.id not in done]
    progress.stage("loading images")
    images = load_datasets(missing, workspace.data_root)
    for model in {(model.architecture, model.width): model for model in missing}.values():
        if get_architecture(model.architecture).has_width:
            check_memory(model, images[dataset_key(model)])
    with sink.lock():
        if damaged := sink.repair():
            progress.tell(f"{damaged} damaged parts of {path} are trained again")
        sink.write_card(spec.title, fields)
        present = len(models) - len(missing)
        progress.tell(f"Zoo {spec.title}: {len(models)} models, {present} already there, into {path}")
        _tell_unstackable(missing, images, progress)

        def train(some: Sequence[ModelSpec], already: int, start: Start | None = None) -> None:
            train_zoo(
                some,
                sink,
                images,
                start=start,
                workers=workspace.workers,
                ray_address=workspace.ray_address,
                resources=workspace.resources,
                stack_size=stack_size,
                already=already,
                progress=progress,
            )

        trunks, *descendants = ([model for model in each if model.id not in done] for each in generations(models))
        with workspace.ray() if any(descendants) else nullcontext():  # one Ray for all
            train(trunks, present)
            reached = present + len(trunks)
            for children in filter(None, descendants):
                parents = Trunks(Zoo(sink.path))
                if lost := [child for child in children if not parents.reached(child)]:
                    sink.write(without_start(lost, images))
                train([child for child in children if parents.reached(child)], reached + len(lost), parents.states)
                reached += len(children)
    progress.tell(f"Zoo {spec.title}: {len(models)}/{len(models)} models trained")
    if spec.landscape_epoch is not None:
        measure_landscape(Zoo(path), spec.landscape_epoch, workspace=workspace, progress=progress)
    return Zoo(path)


def _tell_unstackable(models: Sequence[ModelSpec], images: Datasets, progress: Progress) -> None:
    """Report which architectures are trained one model at a time, and why. Raises `InputError` if one cannot be."""
    alone: dict[str, str] = {}
    for model in {(stack_key(model), dataset_key(model)): model for model in models}.values():
        if reason := why_alone(model, images[dataset_key(model)]):
            alone.setdefault(model.architecture, reason)
    for name, reason in alone.items():
        progress.tell(f"{name} is trained one model at a time: {reason}")
