"""Zoos on remote and on failing storage: what is lost is trained again, and nothing counts twice."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import torch
from zoo.test_zoo import cut, trained

from zoo_generation.errors import InputError
from zoo_generation.files import StoragePath
from zoobench.populations import TokenSet, kept_statuses, select_checkpoints
from zoobench.zoo import Zoo, ZooSink, zoo_path


def ids(models: list) -> set[str]:
    return {model.spec.id for model in models}


def write(path: StoragePath, *parts: list) -> ZooSink:
    sink = ZooSink(path)
    sink.write_card("zoo", {})
    for part in parts:
        sink.write(part)
    return sink


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Zoo]:
    models = trained("cnn_s", 6)
    write(tmp_path / "zoo", models[:3], models[3:])
    yield Zoo(tmp_path / "zoo")


@pytest.fixture
def remote() -> StoragePath:
    """A store in this process's memory, as empty as a new bucket."""
    return zoo_path(f"memory://{uuid.uuid4()}/zoo")


def test_a_remote_zoo_is_the_local_one(local: Zoo, remote: StoragePath) -> None:
    models = trained("cnn_s", 6)
    sink = write(remote, models[:3], models[3:])
    assert sink.done() == ids(models) and sink.repair() == 0
    far = Zoo(remote)
    pd.testing.assert_frame_equal(far.checkpoints, local.checkpoints)
    assert torch.equal(far.weights(far.checkpoints)[0], local.weights(local.checkpoints)[0])
    (near_population,) = TokenSet.load(select_checkpoints([local])).populations
    (far_population,) = TokenSet.load(select_checkpoints([far])).populations
    assert torch.equal(near_population.tokens, far_population.tokens)


def test_a_remote_part_cut_short_is_told_and_repaired(remote: StoragePath) -> None:
    models = trained("cnn_s", 4)
    sink = write(remote, models[:2], models[2:])
    weights = next(remote.glob("weights/*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(InputError, match="build-zoo"):
        Zoo(remote).weights(Zoo(remote).checkpoints)
    assert len(sink.done()) == 2 and sink.repair() == 1
    assert set(Zoo(remote).models["model_id"]) == sink.done()


def test_a_sink_travels_to_workers(tmp_path: Path, remote: StoragePath) -> None:
    for path in (tmp_path, remote):
        assert pickle.loads(pickle.dumps(ZooSink(path))) == ZooSink(path)


def test_a_zoo_path_is_plain_where_it_is_local(tmp_path: Path) -> None:
    for text in (str(tmp_path), f"file://{tmp_path}"):
        assert type(zoo_path(text)) is type(tmp_path) and zoo_path(text) == tmp_path
    assert zoo_path("zoos/a") == Path("zoos/a")
    assert str(zoo_path("memory://a/zoo") / "zoo.json") == "memory://a/zoo/zoo.json"


def test_a_store_that_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "s3fs", None)
    for url, sentence in (
        ("s3://bucket/zoo", "s3fs"),
        ("nowhere://bucket/zoo", "nowhere"),
        ("ftp://127.0.0.1:9/zoo", "cannot reach ftp://127.0.0.1:9/zoo"),
    ):
        with pytest.raises(InputError, match=sentence) as error:
            zoo_path(url)
        assert "\n" not in str(error.value)


HOLD = "import sys, zoobench.zoo as z, pathlib, time\nwith z.ZooSink(pathlib.Path(sys.argv[1])).lock():\n {}"


def test_one_build_at_a_time_and_a_killed_one_lets_go(tmp_path: Path) -> None:
    zoo = tmp_path / "zoo"
    script = HOLD.format("print('held', flush=True); time.sleep(60)")
    with subprocess.Popen([sys.executable, "-c", script, zoo], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match=f"is being built by process {holder.pid} on "), ZooSink(zoo).lock():
            pass
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with ZooSink(zoo).lock(), pytest.raises(InputError, match=f"by process {os.getpid()} on "), ZooSink(zoo).lock():
        pass
    with ZooSink(zoo).lock():
        pass


def test_a_lock_where_no_directory_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for act in (ZooSink(tmp_path / "file").lock().__enter__, lambda: write(tmp_path / "file" / "zoo")):
        with pytest.raises(InputError, match="cannot write into"):
            act()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0" * 8)


def swap(path: Path) -> None:
    """The weights of another part."""
    other = next(file for file in path.parent.iterdir() if file != path)
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize("harm", [cut, empty, Path.unlink])
@pytest.mark.parametrize("pattern", ["models/*", "checkpoints/*", "weights/*"])
def test_a_damaged_part_is_trained_again(local: Zoo, pattern: str, harm: Callable[[Path], None]) -> None:
    """Also where the models are spread over parts in another way."""
    before = local.weights(local.checkpoints)[0]
    harm(min(local.path.glob(pattern)))
    sink, models = ZooSink(local.path), trained("cnn_s", 6)
    done = sink.done()
    assert len(done) == 3
    gone = harm is Path.unlink and pattern == "models/*"  # then there is no such part, as after a killed worker
    assert sink.repair() == (0 if gone else 1)
    missing = [model for model in models if model.spec.id not in done]
    for part in (missing[:1], missing[1:]):
        sink.write(part)
    again = Zoo(local.path)
    assert sink.done() == ids(models) == set(again.models["model_id"]) and len(again.models) == 6
    assert torch.equal(again.weights(again.checkpoints)[0], before)


@pytest.mark.parametrize("harm", [lengthen, swap])
def test_weights_that_do_not_fit_do_not_count(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    models = trained("cnn_s", 3)
    sink = write(tmp_path, models[:1], models[1:])
    harm(min(tmp_path.glob("weights/*")))
    assert sink.done() < ids(models) and sink.repair() == 1


def test_a_model_in_two_parts_counts_once(local: Zoo) -> None:
    """A retried task may have written other shards than the first try."""
    ZooSink(local.path).write(trained("cnn_s", 4))
    again = Zoo(local.path)
    assert len(again.models) == 6
    pd.testing.assert_frame_equal(
        again.checkpoints[local.checkpoints.columns].drop(columns=["part", "row"]),
        local.checkpoints.drop(columns=["part", "row"]),
    )
    assert torch.equal(again.weights(again.checkpoints)[0], local.weights(local.checkpoints)[0])


def test_temporary_files_of_killed_writers_are_swept(local: Zoo) -> None:
    left = [local.path / name for name in ("weights/.a.safetensors.x1", "models/.a.parquet.x2", ".zoo.json.x3")]
    for file in left:
        file.touch()
    sink = ZooSink(local.path)
    with sink.lock():
        sink.repair()
        assert not any(file.exists() for file in left)
    assert len(sink.done()) == 6


def test_models_without_checkpoints_are_whole(tmp_path: Path) -> None:
    """Weights may stop being finite before the first checkpoint."""
    models = trained("cnn_s", 2, epochs=1, status="diverged")
    sink = write(tmp_path, [type(model)(model.spec, "diverged", 1.0, 1, 10, ()) for model in models])
    assert sink.done() == ids(models) and sink.repair() == 0
    assert len(Zoo(tmp_path).models) == 2 and Zoo(tmp_path).checkpoints.empty


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The system refuses this process to write beyond `size` bytes of a file, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [100, 10_000, 118_000])
def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, size: int) -> None:
    models = trained("cnn_s", 4)
    sink = write(tmp_path, models[:2])
    with largest_file(size), pytest.raises(OSError):
        sink.write(models)
    assert sink.done() == ids(models[:2])
    assert [len(list((tmp_path / folder).iterdir())) for folder in ("models", "checkpoints", "weights")] == [1, 1, 1]


def test_which_statuses_become_tokens(tmp_path: Path) -> None:
    models = trained("cnn_s", 6)
    at_chance = [type(model)(model.spec, "at_chance", 1.0, 1, 10, model.checkpoints) for model in models[:2]]
    diverged = [type(model)(model.spec, "diverged", 1.0, 1, 10, model.checkpoints) for model in models[2:3]]
    write(tmp_path, [*at_chance, *diverged, *models[3:]])
    (both,) = TokenSet.load(select_checkpoints([Zoo(tmp_path)])).populations
    (learned,) = TokenSet.load(select_checkpoints([Zoo(tmp_path)], statuses=["trained"])).populations
    assert both.table["model_id"].nunique() == 5 and learned.table["model_id"].nunique() == 3
    for names, sentence in ((["diverged"], "unknown status to keep 'diverged'"), ([], "name one or more of trained")):
        with pytest.raises(InputError, match=sentence):
            kept_statuses(names)
