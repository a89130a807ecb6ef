"""Kept pieces are found by content, and damaged ones are made again."""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
import torch
from conftest import Run
from zoo.test_store import write
from zoo.test_zoo import trained

from zoo_generation.errors import InputError
from zoo_generation.files import MARK, SUMS
from zoo_generation.kept import kept, save, sealed
from zoo_generation.training.sink import TrainedModel
from zoobench.evaluation import Plan, fitted, training_set_of
from zoobench.evaluation.cells import Cells, prepare
from zoobench.evaluation.runner import missing
from zoobench.methods.registry import get_method
from zoobench.populations import TokenSet, select_checkpoints, write_token_set
from zoobench.studies.study import Study
from zoobench.zoo import Zoo, ZooSink, zoo_path
from zoobench.zoo.workspace import Workspace


def zoo_of(path: Path, *parts: list[TrainedModel]) -> Zoo:
    write(path, *parts)
    return Zoo(path)


def changed(models: list[TrainedModel], epoch: int = 2, **metrics: float) -> list[TrainedModel]:
    """The models with other metrics of the first one after an epoch; without any, with one bit of a weight flipped."""
    first = models[0]
    checkpoints = list(first.checkpoints)
    place = next(i for i, each in enumerate(checkpoints) if each.epoch == epoch)
    state = {name: value.clone() for name, value in checkpoints[place].state.items()}
    if not metrics:
        next(iter(state.values())).view(torch.int32).flatten()[0] ^= 1
    other = replace(checkpoints[place], state=state, metrics=replace(checkpoints[place].metrics, **metrics))
    return [replace(first, checkpoints=(*checkpoints[:place], other, *checkpoints[place + 1 :])), *models[1:]]


def without(models: list[TrainedModel], *epochs: int) -> list[TrainedModel]:
    return [
        replace(model, checkpoints=tuple(each for each in model.checkpoints if each.epoch not in epochs))
        for model in models
    ]


def test_the_digest_is_of_the_content_whatever_the_parts(tmp_path: Path) -> None:
    models = trained("cnn_s", 6)
    zoo = zoo_of(tmp_path / "zoo", models)
    digest = select_checkpoints([zoo]).digest
    same = {
        "sharded": (models[4:], models[:1], models[1:4]),
        "twice": (models, models[2:5]),
        "slower": ([replace(model, seconds=9.0) for model in models],),
    }
    for name, parts in same.items():
        other = zoo_of(tmp_path / name, *parts)
        assert select_checkpoints([other]).digest == digest == select_checkpoints([zoo, other]).digest, name
    for name, others in {
        "weights": changed(models),
        "measured": changed(models, test_accuracy=0.5),
        "not measured": changed(models, test_accuracy=float("nan")),
        "fewer": models[:5],
        "checkpoints": without(models, 1),
    }.items():
        assert select_checkpoints([zoo_of(tmp_path / name, others)]).digest != digest, name
    assert select_checkpoints([zoo], token_size=7).digest != digest


def test_a_remote_zoo_is_told_by_its_checksums(tmp_path: Path) -> None:
    models = trained("cnn_s", 4)
    far = [zoo_path(f"memory://{tmp_path.name}/{name}") for name in ("one", "same", "other")]
    for path, content in zip(far, (models, models, changed(models)), strict=True):
        write(path, content)
    one, same, other = (select_checkpoints([Zoo(path)]).digest for path in far)
    assert one == same != other
    with pytest.raises(InputError, match="'weights' after epoch 2"):
        select_checkpoints([zoo_of(tmp_path / "near", models), Zoo(far[2])])
    assert len(select_checkpoints([zoo_of(tmp_path / "near", models), Zoo(far[0])])) == 8


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (changed, "'weights' after epoch 2"),
        (partial(changed, epoch=1), "'weights' after epoch 1"),
        (partial(changed, val_accuracy=0.123), "'val_accuracy' after epoch 2"),
        (partial(changed, train_loss=float("nan")), "'train_loss' after epoch 2"),
        (lambda models: [replace(models[0], status="at_chance"), *models[1:]], "'status' after epoch 1"),
        (lambda models: without(models, 2), None),
        (lambda models: [*models, *trained("cnn_s", 7)[5:]], None),
        (lambda models: without(changed(models), 1), "'weights' after epoch 2"),
    ],
)
def test_models_of_one_id_are_one_model_or_are_refused(
    tmp_path: Path, change: Callable[[list[TrainedModel]], list[TrainedModel]], told: str | None
) -> None:
    models = trained("cnn_s", 5)
    zoos = [zoo_of(tmp_path / "a", models), zoo_of(tmp_path / "b", change(models))]
    for order in (zoos, zoos[::-1], [*zoos, zoos[0]]):
        if told is None:
            table = pd.concat([source.table for source in select_checkpoints(order).sources])
            assert not table.duplicated(["model_id", "epoch"]).any()
            assert len(table) == 2 * len({model for zoo in zoos for model in zoo.models["model_id"]})
        else:
            with pytest.raises(InputError, match=told):
                select_checkpoints(order)


def test_models_of_one_id_without_a_common_epoch_are_refused(tmp_path: Path) -> None:
    models = trained("cnn_s", 5)
    a, b = zoo_of(tmp_path / "a", without(models, 1)), zoo_of(tmp_path / "b", without(models, 2))
    with pytest.raises(InputError, match="no epoch in common"):
        select_checkpoints([a, b])


def test_a_zoo_that_is_edited_in_place_makes_what_was_kept_of_it_stale(tmp_path: Path) -> None:
    models, pca, path = trained("cnn_s", 6), get_method("pca"), tmp_path / "zoo"
    seen = []
    for content in (models, changed(models), changed(models, test_accuracy=0.25), models):
        shutil.rmtree(path, ignore_errors=True)
        zoo = zoo_of(path, content)
        fitted(pca, pca.config(None), [zoo], workspace=Workspace(tmp_path))
        (origin,) = training_set_of([zoo]).origins
        cells = prepare([origin], Workspace(tmp_path))
        population = cells.population(origin)
        fresh = TokenSet.load(select_checkpoints([Zoo(path)])).populations[0]
        assert torch.equal(population.weights, fresh.weights)
        assert population.table["test_accuracy"].equals(fresh.table["test_accuracy"])
        seen.append(cells.tokens[origin.name].name)
    assert seen[0] == seen[3] and len(set(seen)) == 3
    assert sum(1 for fit in (tmp_path / "runs" / "pieces" / "fits").iterdir()) == 3


def digest(folder: Path) -> dict[str, str]:
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes() or b"\0")
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2] or b"cut"),
    "emptied": lambda file: file.write_bytes(b"" if file.stat().st_size else b"\n"),
    "flipped": flip,
    "altered": lambda file: file.write_bytes(file.read_bytes() + b" "),
    "gone": Path.unlink,
    "one more": lambda file: file.with_name(f"{file.name}.more").write_bytes(b"more"),
}


class Made:
    """A piece of work that records when it is made."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files

    def save(self, path: Path) -> None:
        for name, content in self.files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
        path.mkdir(exist_ok=True)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("files", [{"a": b"1234", "deep/er/b": b"5678"}, {"empty": b""}, {}])
def test_a_piece_that_is_not_what_was_written_is_made_again_and_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], damage: str, files: dict[str, bytes]
) -> None:
    path = tmp_path / "piece"
    assert kept(path, digest) is None  # it was never there, and nothing is told
    save(Made(files), path, {"beside.json": {"seconds": 1}})
    whole = digest(path)
    assert set(whole) >= {*files, "beside.json", SUMS} and kept(path, digest) == whole
    assert "made again" not in capfd.readouterr().err
    (path / ".hidden").write_text("of the system")
    assert kept(path, digest) is not None
    for name in (*files, "beside.json", SUMS):
        DAMAGES[damage](path / name)
        assert kept(path, digest) is None and not path.exists()
        assert capfd.readouterr().err.count(f"{path} is not what was written, and is made again\n") == 1
        save(Made(files), path, {"beside.json": {"seconds": 1}})
        assert kept(path, digest) == whole


def test_a_piece_in_whose_place_is_a_file_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "piece"
    path.write_text("no folder")
    assert kept(path, digest) is None and not path.exists()
    with sealed(path) as aside:
        (aside / "a").write_text("a")
    assert kept(path, digest) is not None


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[], tuple[Plan, Cells]]:
    """Opens a study of a zoo that is there as a process would that begins."""
    zoo_of(tmp_path / "zoo", trained("cnn_s", 8))
    study = Study(
        name="study",
        zoos={"digits": {"path": str(tmp_path / "zoo")}},
        combine=("alone",),
        methods={"pca": {}, "layer_statistics": {}},
        baselines=False,
        tasks={"property_prediction": {"properties": ["test_accuracy"]}},
        seeds=1,
    )

    def begun() -> tuple[Plan, Cells]:
        plan = study.plan(Workspace(tmp_path))
        return plan, prepare(plan.origins, Workspace(tmp_path, device="cpu"))

    return begun


@pytest.mark.parametrize(
    ("piece", "damage"),
    [
        *itertools.product(["tokens/*", "pieces/fits/*"], ["cut", "gone"]),
        *(("pieces/cells/*", each) for each in DAMAGES),
    ],
)
def test_every_piece_of_a_study_is_made_again_where_it_is_damaged(
    opened: Callable[[], tuple[Plan, Cells]],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    piece: str,
    damage: str,
) -> None:
    def run() -> tuple[int, list[pd.DataFrame]]:
        plan, there = opened()
        fits, cells = missing(plan, there)
        for fit in fits:
            there.fit(fit)
        for cell in cells:
            there.measure(cell)
        assert there.seconds(plan.fits, plan.cells) >= 0
        return len(fits) + len(cells), [there.observations(cell) for cell in plan.cells]

    made, whole = run()
    assert made == 3 and run()[0] == 0
    folder = min((tmp_path / "runs").glob(piece))
    names = sorted(name for name in digest(folder) if name != MARK)
    for name in names:
        DAMAGES[damage](folder / name)
        capfd.readouterr()
        made, again = run()
        assert made == (0 if piece.startswith("tokens") else 1)
        assert f"{folder} is not what was written, and is made again" in capfd.readouterr().err
        assert sorted(digest(folder)) == sorted([*names, MARK])
        for one, other in zip(whole, again, strict=True):
            pd.testing.assert_frame_equal(one, other)


def test_what_a_study_kept_of_a_zoo_that_changed_is_not_used(
    opened: Callable[[], tuple[Plan, Cells]], tmp_path: Path
) -> None:
    plan, there = opened()
    paths = {there.fit_path(fit) for fit in plan.fits} | {there.cell_path(cell) for cell in plan.cells}
    shutil.rmtree(tmp_path / "zoo")
    zoo_of(tmp_path / "zoo", changed(trained("cnn_s", 8)))
    plan, there = opened()
    others = {there.fit_path(fit) for fit in plan.fits} | {there.cell_path(cell) for cell in plan.cells}
    assert len(paths) == len(others) == 3 and not paths & others


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "one more"])
@pytest.mark.parametrize("folder", ["models", "checkpoints", "weights", "checksums"])
def test_a_damaged_part_of_a_zoo_is_trained_again(tmp_path: Path, folder: str, damage: str) -> None:
    models = trained("cnn_s", 4)
    sink = write(tmp_path, models[:2], models[2:])
    file = min((tmp_path / folder).iterdir())
    whole = digest(tmp_path)
    DAMAGES[damage](file)
    lost = {model.spec.id for model in models} - sink.done()
    assert len(lost) == 2 and sink.repair() == (0 if (folder, damage) == ("models", "gone") else 1)
    sink.write([model for model in models if model.spec.id in lost])
    assert {name: each for name, each in digest(tmp_path).items() if name in whole} == whole
    assert ZooSink(tmp_path).done() == {model.spec.id for model in models}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_a_user_gave_is_never_made_again(run: Run, tmp_path: Path, damage: str) -> None:
    zoo_of(tmp_path / "zoo", trained("cnn_s", 8))
    tokens, method = tmp_path / "tokens", tmp_path / "method"
    write_token_set(tokens, select_checkpoints([Zoo(tmp_path / "zoo")]))
    train = ["train", "--model", "pca", "--tokens", tokens, "--home", tmp_path / "home"]
    embed = ["embed", tmp_path / "zoo", "--model", "pca", "--from", method, "--home", tmp_path / "home"]
    assert run(*train, "--out", method)[0] == 0 and run(*embed)[0] == 0
    for folder, name, command in (
        (tokens, "digits-cnn_s-1x28.parquet", [*train, "--out", tmp_path / "again"]),
        (method, "bases.safetensors", embed),
    ):
        DAMAGES[damage](folder / name)
        before = digest(folder)
        code, output = run(*command)
        assert code == 2 and output.count("Error:") == 1 and "Traceback" not in output
        assert "damaged" in output and str(folder) in output.replace("\n", "") and digest(folder) == before
    assert not (tmp_path / "again").exists()


def test_what_is_trained_leaves_nothing_beside_it(run: Run, tmp_path: Path) -> None:
    zoo_of(tmp_path / "zoo", trained("cnn_s", 8))
    scratch = tmp_path / ".method.training"
    scratch.mkdir()
    (scratch / "training.pt").write_bytes(b"of a training that was killed")
    small = "steps=2,batch_size=4,d_model=16,heads=2,layers=1,latent=4"
    command = ["train", "--zoo", tmp_path / "zoo", "--set", small, "--out", tmp_path / "method"]
    assert run(*command, "--home", tmp_path / "home")[0] == 0
    assert {path.name for path in tmp_path.iterdir()} == {"zoo", "method", "home"}
    sane, config = (
        get_method("sane"),
        get_method("sane").config(None, dict(each.split("=") for each in small.split(","))),
    )
    for _ in range(2):
        fitted(sane, config, [Zoo(tmp_path / "zoo")], workspace=Workspace(tmp_path / "home"))
        assert len(list((tmp_path / "home" / "runs" / "pieces" / "fits").iterdir())) == 1
