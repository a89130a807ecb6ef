"""New models from latents, and the commands that generate and embed, end to end on small zoos."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from conftest import Run
from torch import Tensor

from zoo_generation.data import load_dataset
from zoo_generation.data.load import ImageStore
from zoo_generation.errors import InputError
from zoobench.methods.sampling import Draw, choose_anchors, generate
from zoobench.methods.sane import PRESETS, Gaussian, Kernel, Sampler, Sane
from zoobench.populations import Population, TokenSet, select_checkpoints
from zoobench.populations.target import Target, with_new_classifier
from zoobench.zoo import Zoo
from zoobench.zoo.validation import validate_zoo

SMALL = replace(PRESETS["tiny"], d_model=16, layers=1, latent=8, steps=3, permutations=2)


@pytest.fixture(scope="module")
def tokens(built: Path) -> TokenSet:
    return TokenSet.load(select_checkpoints([Zoo(built / "zoos" / "digits-cnn_s")]))


@pytest.fixture(scope="module")
def sane(tokens: TokenSet) -> Sane:
    return Sane.fit(tokens, 0, SMALL)


@pytest.fixture(scope="module")
def kept(sane: Sane, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept") / "sane"
    sane.save(folder)
    return folder


class Noisy:
    """Draws anchors with noise on their weights: what bootstrapping can only improve."""

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randint(len(anchors), (count,), generator=generator)
        return anchors.weights[chosen] + 0.05 * torch.randn(count, anchors.layout.size, generator=generator)


def test_bootstrapping_never_gets_worse(tokens: TokenSet) -> None:
    anchors = choose_anchors(tokens.populations[0], 3)
    once = Draw(drawn=12, kept=4, selection_images=200)
    one, more = (generate(Noisy(), anchors, replace(once, rounds=rounds), 0, ImageStore()) for rounds in (1, 3))
    assert torch.equal(more.drawn_accuracy[:12], one.drawn_accuracy) and len(more.drawn_accuracy) == 36
    assert (more.val_accuracy >= one.val_accuracy).all() and more.val_accuracy.sum() > one.val_accuracy.sum()
    assert torch.equal(more.drawn_accuracy[more.draws], more.val_accuracy) and len(set(more.draws.tolist())) == 4


def test_a_fitted_gaussian_has_the_latents_moments() -> None:
    generator = torch.Generator().manual_seed(0)
    factor, mean = torch.randn(6, 6, generator=generator), torch.arange(6.0)
    factor[:, 0] = 0  # of rank 5, as latents of few models are
    latents = mean + torch.randn(400, 20, 6, generator=generator) @ factor.T
    gaussian = Gaussian.fitted(latents.split(7))
    drawn = gaussian.draw(400, 20, generator).flatten(0, 1)
    torch.testing.assert_close(drawn.mean(0), latents.flatten(0, 1).mean(0), atol=0.2, rtol=0)
    torch.testing.assert_close(drawn.T.cov(), latents.flatten(0, 1).T.cov(), atol=0.5, rtol=0.1)


def test_another_number_of_classes_changes_the_classifier_only(sane: Sane, tokens: TokenSet) -> None:
    anchors = choose_anchors(tokens.populations[0], 3)
    ten, seven = (replace(load_dataset("digits"), classes=tuple("0123456789"[:number])) for number in (10, 7))
    size = sane.token_size
    same, fewer = (Target.new(each.fit(1, 28), "cnn_s", 1.0, "tanh", size, train_images=100) for each in (ten, seven))
    kernel = Kernel("joint", 0.1, True)
    whole = same.layout.unflatten(Sampler.of(sane, same, kernel).generate(anchors, 4, 0))
    smaller = fewer.layout.unflatten(Sampler.of(sane, fewer, kernel).generate(anchors, 4, 0))
    new = fewer.layout.unflatten(fewer.new_models(4, 0))
    last = "module_list.11"
    for name, value in smaller.items():
        assert value.isfinite().all() and (torch.equal(value, new[name]) == name.startswith(last))
    again = with_new_classifier(same.layout.flatten(whole), same, 0)
    changed = {name for name, value in same.layout.unflatten(again).items() if not torch.equal(value, whole[name])}
    assert changed == {f"{last}.weight", f"{last}.bias"}
    with pytest.raises(InputError, match="cannot be anchors"):
        other = Target.new(ten.fit(1, 28), "cnn_m", 1.0, "tanh", size)
        Sampler.of(sane, other, kernel).generate(anchors, 1, 0)


def test_generated_models_are_a_zoo(run: Run, built: Path, kept: Path, tmp_path: Path) -> None:
    zoo = built / "zoos" / "digits-cnn_s"
    options = ["--zoo", zoo, "--from", kept, "--drawn", "6", "--home", tmp_path, "--seed", "1"]
    for number in (1, 2):  # the same command again changes nothing
        code, output = run("generate", *options, "--mode", "bootstrapped", "--rounds", "2", "--kept", "3")
        assert code == 0 and "random" in output and "3 models into" in output, number
    generated = Zoo(tmp_path / "generated" / "digits-cnn_s-sane")
    assert validate_zoo(generated.path).valid
    assert len(generated.models) == len(generated.checkpoints) == 3
    row = generated.checkpoints.iloc[0]
    assert (row["epoch"], row["epochs"], row["activation"]) == (0, 0, "tanh") and pd.isna(row["learning_rate"])
    source = json.loads(row["source"])["generated"]
    assert source["method"] == "sane" and len(source["anchors"]) == 5 and source["density"] == "joint"
    code, output = run("generate", *options, "--anchors", "0", "--gaussian", "fitted", "--dataset", "glyphs")
    assert code == 0 and "glyphs-cnn_s-1x28" in output
    again = Zoo(generated.path)
    assert set(again.models["dataset"]) == {"digits", "glyphs"}
    draws = pd.read_parquet(tmp_path / "results" / "generated-digits-cnn_s-sane" / "draws.parquet")
    assert len(draws) == 6 and draws["kept"].all()
    code, output = run("zoo", "validate", again.path, "--recompute", "4", "--home", tmp_path)
    assert code == 0 and "valid" in output
    code, output = run("zoo", "inspect", again.path, "--home", tmp_path)
    assert code == 0 and "nan" not in output
    code, output = run("tokens", "build", "--zoo", again.path, "--home", tmp_path)
    assert code == 0
    found = TokenSet.read(tmp_path / "tokens" / "digits-cnn_s-sane").populations
    assert sum(map(len, found)) == 9


def test_embeddings_are_parquet(run: Run, built: Path, kept: Path, sane: Sane, tmp_path: Path) -> None:
    zoo = Zoo(built / "zoos" / "digits-cnn_s")
    (population,) = TokenSet.load(select_checkpoints([zoo])).populations
    keys = zip(population.table["model_id"], population.table["epoch"], strict=True)
    by_row = dict(zip(keys, sane.embed(population), strict=True))
    code, _ = run("embed", zoo.path, "--from", kept, "--out", tmp_path / "all", "--home", tmp_path)
    assert code == 0
    file = f"{population.name}.parquet"
    table = pq.read_table(tmp_path / "all" / file)
    assert table.schema.field("embedding").type.list_size == 8 and len(table) == len(zoo.checkpoints)
    for row in table.to_pylist():
        expected = by_row[row["model_id"], row["epoch"]]
        torch.testing.assert_close(torch.tensor(row["embedding"]), expected, atol=1e-5, rtol=1e-4)
    one = population.table["model_id"].iloc[0]
    options = ["--from", kept, "--checkpoint", f"{one}:2", "--layers", "--out", tmp_path / "one", "--home", tmp_path]
    code, _ = run("embed", zoo.path, *options)
    assert code == 0
    layers = pq.read_table(tmp_path / "one" / file).to_pandas()
    assert layers["name"].tolist() == list(population.tokenizer.layers)
    counts = [block.tokens.stop - block.tokens.start for block in population.tokenizer.blocks]
    mean = np.average(np.stack(layers["embedding"].to_list()), axis=0, weights=counts)
    np.testing.assert_allclose(mean, by_row[one, 2].numpy(), atol=1e-5)


def test_models_of_an_architecture_and_width_that_no_zoo_has(run: Run, built: Path, kept: Path, tmp_path: Path) -> None:
    """Without anchors, at the target's own positions."""
    zoo, out = built / "zoos" / "digits-cnn_s", tmp_path / "generated"
    wanted = ["--architecture", "resnet18", "--width", "0.0625", "--activation", "relu", "--drawn", "4", "--kept", "2"]
    code, output = run("generate", "--from", kept, "--zoo", zoo, *wanted, "--out", out, "--home", tmp_path)
    assert code == 0, output
    rows = Zoo(out).checkpoints
    assert set(rows["architecture"]) == {"resnet18"} and set(rows["width"]) == {0.0625} and len(rows) == 2
    assert validate_zoo(out).valid


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["generate", "--mode", "plain", "--kept", "3"], "leave --kept out"),
        (["generate", "--rounds", "3"], "rounds of --mode bootstrapped only"),
        (["generate", "--kept", "9", "--drawn", "5"], "cannot be kept"),
        (["generate", "--device", "gpu"], "unknown device 'gpu'"),
        (["generate", "--from", "{tmp}/nowhere"], "there is no folder"),
        (["generate", "--from", "{tmp}"], "no readable trained sane"),
        (["generate", "--from", "{kept}", "--dataset", "digist"], "unknown dataset 'digist'"),
        (["generate", "--from", "{kept}", "--out", "{zoo}"], "is a zoo of trained models"),
        (["generate", "--model", "flat_weights"], "does not generate"),
        (["generate", "--model", "random_init", "--bandwidth", "1"], "random_init has no such setting"),
        (["embed", "--from", "{kept}", "--population", "digits"], "unknown population 'digits'"),
        (["embed", "--from", "{kept}", "--checkpoint", "abc:5"], "there is no checkpoint of model 'abc' after epoch 5"),
        (["embed", "--from", "{kept}", "--checkpoint", "abc:last"], "give ID or ID:EPOCH"),
        (["embed", "--from", "{kept}", "--out", "{zoo}"], "holds something other than embeddings"),
        (["embed", "--model", "flat_weights", "--layers"], "does not embed layers"),
    ],
)
def test_bad_input_is_one_sentence(
    run: Run,
    built: Path,
    kept: Path,
    tmp_path: Path,
    command: list[str],
    sentence: str,
) -> None:
    zoo = built / "zoos" / "digits-cnn_s"
    given = [part.format(tmp=tmp_path, kept=kept, zoo=zoo) for part in command]
    where = [zoo] if command[0] == "embed" else ["--zoo", zoo]
    code, output = run(given[0], *where, *given[1:], "--home", tmp_path)
    error = output[output.index("Error:") :].strip()
    assert code == 2 and sentence in error and "\n" not in error and "Traceback" not in output
    assert not (tmp_path / "generated").exists()
