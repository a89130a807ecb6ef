"""Lineage as tasks: the truth about pairs, ranks and rates against counting, and forests against all forests."""

from __future__ import annotations

import itertools
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from helpers.groups import MadeUpImages
from helpers.lineages import STEP, families
from helpers.measuring import asked, values
from torch import Tensor

from zoo_generation.errors import InputError
from zoo_generation.networks.accuracy import logits
from zoo_generation.networks.module import runnable_module
from zoobench.methods.baselines import FlatWeights
from zoobench.methods.lineage import Behaviour, WeightDistance
from zoobench.methods.protocols import InapplicableError
from zoobench.populations import Access, Evidence, Population
from zoobench.populations.lineage import NONE, Lineage
from zoobench.tasks.answers import Scores
from zoobench.tasks.base import Setting
from zoobench.tasks.copies import WAYS, copied
from zoobench.tasks.forest import forest
from zoobench.tasks.model_tree import ModelTree
from zoobench.tasks.parent_search import KINDS, ParentSearch


class Noted:
    """Scores at random; notes what it was given."""

    def trace(self, children: Population, candidates: Population) -> Tensor:
        self.children, self.candidates = children, candidates
        return torch.randn(len(children), len(candidates), generator=torch.Generator().manual_seed(1))


def places(some: Population, among: Population) -> list[int]:
    """The row of each model among others, by its weights."""
    return [int((among.weights == each).all(1).nonzero()) for each in some.weights]


def scores(task: Any, setting: Setting, matrix: Tensor) -> dict[str, float]:
    form = task.form(setting)
    return values(task, task.judge(Scores(matrix.float(), form.rows, form.columns), setting))


def test_lineage_follows_trained_weights_alone() -> None:
    line = Lineage.of(families(2))
    names = line.models.table["model_id"].tolist()
    parent = {name: None if place == NONE else names[place] for name, place in zip(names, line.parents, strict=True)}
    expected = {name: name.rpartition(".")[0] or None for name in names} | {f"{number}.x": None for number in range(2)}
    assert parent == expected
    root = {name: names[place] for name, place in zip(names, line.roots, strict=True)}
    assert all(root[name] == (name[:3] if ".x" in name else name[0]) for name in names)
    assert line.families.tolist() == [f"kaiming_uniform {name[0]}" for name in names]
    second = line.among(np.array(["kaiming_uniform 1"]))
    assert second.parents.tolist() == [p if p == NONE else p - 9 for p in line.parents[9:]] and second.edges.sum() == 7


def test_methods_are_asked_about_leaves_and_see_nothing_that_tells() -> None:
    population, method = families(8), Noted()
    table = population.table.set_index("model_id")
    asked(ParentSearch(), method, Setting(population))
    children, candidates = (
        population.table["model_id"].iloc[places(some, population)] for some in (method.children, method.candidates)
    )
    assert set(children) == set(table.index) - set(table["parent"])
    assert {name[0] for name in children} == set("01234567") and len({name[0] for name in candidates}) == 6
    assert set(candidates) == {name for name in table["parent"].dropna() if name[0] in {each[0] for each in candidates}}
    for shown in (method.children, method.candidates):
        assert not {"model_id", "parent", "parent_epoch", "seed", "epoch", "init"} & set(shown.table)
        assert shown.table["data_part"].isna().all()


def test_ranks_and_rates_are_counts_of_pairs() -> None:
    population, method, task = families(8, steps=(0.1, 0.5)), Noted(), ParentSearch()
    setting = Setting(population)
    matrix = asked(task, method, setting).values.numpy()
    rows = task.judge(asked(task, method, setting), setting)
    names = population.table["model_id"].to_numpy()
    children, candidates = (names[places(some, population)] for some in (method.children, method.candidates))
    pairs = [(child, candidate) for child in range(len(children)) for candidate in range(len(candidates))]
    unrelated = sorted(matrix[pair] for pair in pairs if children[pair[0]][0] != candidates[pair[1]][0])
    limit = unrelated[int(np.ceil(0.99 * len(unrelated))) - 1]
    for child, row in enumerate(rows.itertuples()):
        parent = children[child].rpartition(".")[0]
        assert row.present == (parent in candidates) and row.model == f"kaiming_uniform {parent[0]}"
        options = [*matrix[child], 0.0]
        truth = options[candidates.tolist().index(parent) if row.present else -1]
        assert row.rank == sorted(options, reverse=True).index(truth) + 1
        if row.present:
            assert row.closest == (truth == max(options[:-1]))
            assert row.below == pytest.approx(np.mean([each < truth for each in unrelated]))
            assert row.detected == (truth > limit)
            alike = [
                s
                for s, name in zip(matrix[child], candidates, strict=True)
                if name[0] == parent[0] and (".x" in name) != (".x" in parent)
            ]
            assert row.same_init == pytest.approx(np.mean([each > limit for each in alike]))
        else:
            assert np.isnan([row.closest, row.below, row.detected]).all()
    found = values(task, rows)
    assert found["top1"] == pytest.approx((rows["rank"] == 1).mean()) and found["mrr"] == pytest.approx(
        (1 / rows["rank"]).mean()
    )
    assert found["none"] == pytest.approx((rows["rank"] == 1)[~rows["present"]].mean())
    assert {"top1:near", "top1:far"} < set(found) and all(
        np.isclose(rows["drift"], 0.1, atol=1e-3) | np.isclose(rows["drift"], 0.5, atol=1e-3)
    )


def test_the_truth_is_right_and_nothing_said_is_not() -> None:
    task, setting = ParentSearch(("trained", *WAYS)), Setting(families(8))
    right = task._question(setting.target).right
    found = scores(task, setting, right.double() - 0.5)
    assert all(
        found[f"{name}{kind}"] == 1
        for name in ("top1", "mrr", "none", "auc", "tpr")
        for kind in ("", ":merged", ":bits_4")
    )
    silent = scores(task, setting, torch.zeros(right.shape))
    assert silent["top1"] == 0 and silent["tpr"] == 0 and silent["auc"] == 0.5
    assert scores(task, setting, -torch.ones(right.shape))["top1"] == pytest.approx(
        float((~right.any(1)).double().mean())
    )


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_copies_are_what_they_are_called(activation: str) -> None:
    models = families(1, activation)
    made = {way: copied(models, way, models.weights.flip(0), 3) for way in WAYS}
    entry = models.layout["module_list.3.weight"]
    part = {way: each[:, entry.span] for way, each in made.items()}
    own = models.weights[:, entry.span]
    for percent in (30, 60, 90):
        gone = part[f"pruned_{percent}"] == 0
        assert (gone.sum(1) == round(percent / 100 * entry.numel)).all()
        assert (own.abs().masked_fill(~gone, 0).amax(1) <= own.abs().masked_fill(gone, torch.inf).amin(1)).all()
        assert torch.equal(part[f"pruned_{percent}"][~gone], own[~gone])
    for bits in (4, 8):
        assert all(len(each.unique()) <= 2**bits - 1 for each in part[f"bits_{bits}"])
        assert ((part[f"bits_{bits}"] - own).abs().amax(1) <= own.abs().amax(1) / (2**bits - 2) * 1.001).all()
    for percent in (5, 20):
        share = (part[f"noise_{percent}"] - own).std(1) / own.std(1)
        torch.testing.assert_close(share, torch.full_like(share, percent / 100), rtol=0.1, atol=0)
    torch.testing.assert_close(made["merged"], (models.weights + models.weights.flip(0)) / 2)
    module, images = runnable_module(models.row), torch.randn(16, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    plain, evaded = (logits(each, models.layout, module, images) for each in (models.weights, made["evaded"]))
    torch.testing.assert_close(evaded, plain, atol=1e-3, rtol=1e-3)
    assert (made["evaded"] - models.weights).norm(dim=1).min() > 0.5 * models.weights.norm(dim=1).min()


def test_what_is_distilled_answers_as_its_parent_does_and_has_none_of_its_weights() -> None:
    images = MadeUpImages(count=64)
    task, models = ParentSearch(("distilled",), each=1), families(3, seed=1).shown(Evidence(Access.IMAGES, images))
    setting = Setting(models, images=images)
    found = task.compared(setting)
    near = {measure: scores(task, setting, -measure.apart(*found)) for measure in (Behaviour(), WeightDistance())}
    assert near[Behaviour()]["auc"] > 0.9 > near[WeightDistance()]["auc"]
    assert torch.cdist(found[0].weights, found[1].weights).amin() > STEP * found[1].weights.norm(dim=1).amax()
    form = task.form(setting)
    judged = task.judge(Scores(torch.zeros(len(form.rows), len(form.columns)), form.rows, form.columns), setting)
    assert judged["drift"].isna().all() and len(judged) == 3


def test_a_forest_is_the_best_of_all_forests() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        matrix = torch.randn(4, 4, generator=generator) + 0.3
        best = -1.0
        for parents in itertools.product(range(-1, 4), repeat=4):
            lines = [line_of(child, parents) for child in range(4)]
            if all(line is not None for line in lines):
                best = max(best, sum(float(matrix[c, p]) for c, p in enumerate(parents) if p >= 0))
        found = forest(matrix)
        assert all(line_of(child, found) is not None for child in range(4))
        assert sum(float(matrix[c, p]) for c, p in enumerate(found) if p != NONE) == pytest.approx(best)


def test_forests_of_many_nodes_are_as_good_as_another_implementation_finds() -> None:
    """Dense and sparse, with cycles in cycles, and scores that are equal."""
    generator = torch.Generator().manual_seed(0)
    for count, shift, steps in ((40, 3.0, 0), (40, -1.0, 0), (60, 0.0, 2), (25, 5.0, 1), (1, 1.0, 0)):
        matrix = torch.randn(count, count, generator=generator) + shift + 2 * torch.arange(count) / count
        matrix = (matrix * steps).round() / steps if steps else matrix
        graph = nx.DiGraph()
        edges = [(p, c) for c, p in (matrix > 0).nonzero().tolist() if p != c]
        graph.add_weighted_edges_from((p, c, float(matrix[c, p])) for p, c in edges)
        best = nx.maximum_branching(graph).size("weight") if edges else 0.0
        found = forest(matrix)
        assert all(line_of(child, found) is not None for child in range(count))
        assert all(matrix[c, p] > 0 for c, p in enumerate(found) if p != NONE)
        assert sum(float(matrix[c, p]) for c, p in enumerate(found) if p != NONE) == pytest.approx(best)


def line_of(child: int, parents: Any) -> list[int] | None:
    """The ancestors of a model; None if they are a circle."""
    line: list[int] = []
    while parents[child] != NONE:
        child = parents[child]
        line.append(child)
        if len(line) > len(parents):
            return None
    return line


def test_edges_count_with_their_direction() -> None:
    task, setting = ModelTree(), Setting(families(4))
    line, order = task._drawn(setting.target)
    true = torch.from_numpy(line.edges)[order][:, order].double() - 0.5
    found = scores(task, setting, true)
    assert all(
        found[name] == 1
        for name in ("edge_f1", "precision", "recall", "joined", "direction", "roots", "exact", "clusters")
    )
    backwards = scores(task, setting, true.T)
    assert backwards["recall"] < 0.5 < 1 - backwards["roots"]  # in a forest, each model has one parent
    nothing = scores(task, setting, torch.zeros_like(true))
    assert nothing["edge_f1"] == nothing["recall"] == 0 and nothing["roots"] == 1 and nothing["exact"] == 0


def test_trees_are_asked_about_in_an_order_that_says_nothing() -> None:
    population, method = families(6), Noted()
    asked(ModelTree(families=3), method, Setting(population))
    names = population.table["model_id"].iloc[places(method.children, population)].tolist()
    assert len(names) == 27 and len({name[0] for name in names}) == 3
    assert method.children is method.candidates and names != sorted(names)


def test_embeddings_are_read_as_distances() -> None:
    sources = (families(6, split="train", seed=20),)
    setting = Setting(families(8), sources)
    answer = asked(ParentSearch(), FlatWeights(), setting)
    assert values(ParentSearch(), ParentSearch().judge(answer, setting))["closest"] == 1.0
    with pytest.raises(InapplicableError, match="no training models have the layout"):
        ParentSearch().ask(FlatWeights(), Setting(families(8)))


def test_zoos_without_children_and_settings_that_cannot_be_are_refused() -> None:
    population = families(2)
    trunks = population.select(population.table["parent"].isna())
    for task in (ParentSearch(), ModelTree()):
        with pytest.raises(InapplicableError, match="was trained from another"):
            task.form(Setting(trunks))
    with pytest.raises(InputError, match="'cropped' among the kinds"):
        ParentSearch(("cropped",))
    with pytest.raises(InputError, match="0 families"):
        ModelTree(families=0)
    assert set(KINDS) == {"trained", "evaded_child", "distilled", *WAYS} and STEP < 0.5
