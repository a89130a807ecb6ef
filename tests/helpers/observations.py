"""Observations as each task makes them, without asking a method."""

from __future__ import annotations

import numpy as np
import pandas as pd


def made_up(task: str, seed: int) -> pd.DataFrame:
    """Observations as a task makes them, of six models."""
    random = np.random.default_rng(seed)
    models = np.repeat([f"m{number}" for number in range(6)], 4)
    share = random.random((3, 24))
    match task:
        case "property_prediction" | "property_transfer" | "landscape_prediction" | "phase_prediction":
            names = ("test_accuracy", "optimizer") if "property" in task else ("ln_trace", "phase")
            numbers = {"truth": share[0], "predicted": share[1], "true_class": None, "predicted_class": None}
            classes = dict(zip(("true_class", "predicted_class"), random.choice(["a", "b"], (2, 24)), strict=True))
            rows = {"model": models, "epoch": np.tile(range(4), 6)}
            return pd.concat(
                [
                    pd.DataFrame(rows | {"property": names[0], "kind": "number"} | numbers),
                    pd.DataFrame(rows | {"property": names[1], "kind": "class"} | classes),
                ]
            )
        case "skill_prediction" | "skill_forecast":
            numbers = {"truth": share[0], "predicted": share[1], "true_class": None, "predicted_class": None}
            rows = pd.DataFrame({"model": models, "epoch": np.tile(range(4), 6), "kind": "number"} | numbers)
            return pd.concat([rows.assign(property="skill_1"), rows.assign(property="skill_2", truth=share[2] ** 2)])
        case "generation":
            kept = np.arange(6) % 2 == 0
            names = ("test_accuracy", "overlap", "to_others")
            columns = {name: np.where(kept, share[0, i : i + 6], np.nan) for i, name in enumerate(names)}
            table = {"model": [str(draw) for draw in range(6)], "val_accuracy": share[1, :6], "kept": kept}
            table |= {"novelty": 4 * share[1, 6:12], "drawn_accuracy": share[2, :6], "bar": 0.5}
            return pd.DataFrame(table | columns | {"independent": 8.0, "independent_overlap": 0.3})
        case "fine_tuning" | "zero_shot":
            return pd.DataFrame({"model": models, "epoch": np.tile([0, 1, 5, 25], 6), "test_accuracy": share[0]})
        case "transfer":
            pairs = [(s, t) for s in range(6) for t in range(6) if s != t]
            rows = pd.DataFrame(pairs, columns=["student", "teacher"]).map("m{}".format)
            kinds = ("before", "after", "gained", "lost", "positive", "negative", "transferred")
            counts = {name: random.integers(1, 50, len(rows)) for name in kinds}
            return rows.assign(model=rows["student"], pair=range(len(rows)), share=1.0, images=100, **counts)
        case "growth":
            steps = {"step": np.tile([0, 8, 16, 24], 6), "images": np.tile([0.0, 80.0, 160.0, 240.0], 6)}
            curves = {"accuracy": share[0] + steps["step"] / 30, "scratch": share[1] / 2 + steps["step"] / 30}
            fixed = {"per_image": 0.01, "small_spent": 0.5, "small": np.repeat(share[2, :6], 4)}
            return pd.DataFrame({"model": models} | steps | curves | fixed | {"spent": np.repeat(share[2, 6:12], 4)})
        case "value":
            pairs = [(n, b) for n in range(4) for b in range(6)]
            rows = pd.DataFrame(pairs, columns=["network", "base_model"]).map("m{}".format)
            kinds = [("own" if n == b else "unseen" if b < 4 else "other") for n, b in pairs]
            known = {"images": 100, "former_images": 100, "former_base": 90, "former_sum": random.integers(40, 90, 24)}
            counts = {name: random.integers(1, 50, 24) for name in ("sum", "base", "alone", "scratch")}
            tuned = {"tuned": random.integers(50, 90, 24)}
            return rows.assign(model=rows["network"], kind=kinds, **known, **counts, **tuned)
        case "attribution":
            table = pd.DataFrame([(s, f"m{z}") for s in range(5) for z in range(6)], columns=["subset", "model"])
            columns = ("predicted", "margin", "half", "other_half")
            return table.assign(**{name: random.random(len(table)) for name in columns})
        case "lineage":
            columns = dict(
                zip(("drift", "closest", "below", "detected", "same_init"), random.random((5, 24)), strict=True)
            )
            kinds, ranks = random.choice(["trained", "evaded"], 24), random.integers(1, 4, 24)
            rows = pd.DataFrame({"model": models, "kind": kinds, "present": random.random(24) < 0.7, "rank": ranks})
            told = pd.DataFrame(columns)
            told.loc[~rows["present"], ["closest", "below", "detected"]] = np.nan
            return rows.join(told)
        case "model_tree":
            names = ("child", "placed", "right", "joined", "agrees")
            table = pd.DataFrame(dict(zip(names, random.random((5, 24)) < 0.6, strict=True)))
            table = table.assign(right=table["right"] & table["child"], joined=table["joined"] & table["child"])
            trees = np.unique(models, return_inverse=True)[1] * 2 + random.integers(0, 2, 24)
            drift = np.where(table["child"], random.random(24) / 3, np.nan)
            return table.assign(model=models, tree=trees, found_tree=random.integers(0, 4, 24), drift=drift)
        case "brittleness":
            rows = pd.DataFrame([(f"m{z}", k, s) for z in range(6) for k in (1, 2) for s in (0, 1)])
            rows.columns = ["model", "left_out", "seed"]
            flips = {"flipped": random.random(24) < 0.5, "flipped_at_random": random.random(24) < 0.2}
            return rows.assign(right=True, **flips, margin=share[0], margin_at_random=share[1])
        case "membership":
            rows = pd.DataFrame([(f"m{m}", i) for m in range(6) for i in range(4)], columns=["model", "image"])
            return rows.assign(
                score=random.random(24), seen=(rows["image"] + random.permutation(models.size) // 4) % 2 == 0
            )
        case "extraction":
            rows = pd.DataFrame([(v, b, q) for b in ("none", "true") for q in (10, 50) for v in range(6)])
            rows.columns = ["victim", "base", "budget"]
            return rows.assign(
                told="labels",
                model=[f"m{victim // 2}" for victim in rows["victim"]],
                agreement=random.choice([0.5, 0.94, 0.96], 24),
                accuracy=random.random(24),
            )
        case "merging":
            names = ("accuracy", "loss", "part_accuracy", "barrier", "single", "best_single", "single_parts", "joint")
            columns = dict(zip(names, random.random((8, 6)), strict=True))
            return pd.DataFrame({"model": [f"m{number}" for number in range(6)]} | columns)
        case _:
            columns = {"original": share[0, :6], "reconstructed": share[1, :6]}
            return pd.DataFrame({"model": [f"m{number}" for number in range(6)]} | columns)
