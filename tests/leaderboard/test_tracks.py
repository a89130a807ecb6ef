"""Tracks: their fields, what follows from the task, and entries that another task version scored."""

from __future__ import annotations

import ast
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Run
from helpers.submitting import Board, artefact, change, fingerprint, read_fields

from zoo_generation.errors import InputError
from zoobench.leaderboard import Board as Entries
from zoobench.leaderboard import Score, leaderboard, read_entry, submit, verify
from zoobench.leaderboard.board import add, differences
from zoobench.leaderboard.running import check_applicable
from zoobench.leaderboard.site import write_site
from zoobench.leaderboard.untrusted.files import Refused
from zoobench.leaderboard.verification import differences as claims
from zoobench.methods.registry import get_method
from zoobench.tasks.property_prediction import PropertyPrediction
from zoobench.zoo.workspace import Workspace

UNTRUSTED = Path(__file__).parents[2] / "zoobench" / "leaderboard" / "untrusted"


def test_what_reads_files_of_strangers_knows_bytes_and_bounds_alone() -> None:
    files = sorted(UNTRUSTED.glob("*.py"))
    assert len(files) > 5
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert not name.startswith("zoobench") or name.startswith("zoobench.leaderboard.untrusted"), (
                    file,
                    name,
                )


def rewrite(board: Board, **fields: Any) -> None:
    path = board.path / "property" / "track.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | fields))


def test_a_track_that_was_written_before_is_read_and_what_it_repeats_is_checked(board: Board) -> None:
    before = board.track("property")
    rewrite(board, direction="higher", holds="predictions", allowed="Only this.")
    found = board.track("property")
    assert found.model_dump() == before.model_dump() | {"note": "All."}  # a note of its own goes first
    assert found.holds == "predictions" and found.artefact == "predictions.parquet" and found.task_version == 1
    for field, value, says in (
        ("holds", "weights", "holds predictions, not"),
        ("direction", "lower", "higher is better"),
    ):
        rewrite(board, holds="predictions", direction="higher")
        rewrite(board, **{field: value})
        with pytest.raises(InputError, match=says):
            board.track("property")


@pytest.mark.parametrize("access", ["weights", "statistics", "images", "labels"])
def test_rules_say_what_a_method_may_see(board: Board, access: str) -> None:
    rewrite(board, access=access)
    rules = board.track("property").rules
    assert ("No images." in rules) == (access == "weights") and rules.endswith("All.")
    rewrite(board, access="everything")
    with pytest.raises(InputError, match="field 'access' was given 'everything'"):
        board.track("property")


def test_methods_that_see_hyperparameters_are_floors_alone(board: Board) -> None:
    floor = get_method("hyperparameters")
    check_applicable(board.track("property"), floor)
    with pytest.raises(InputError, match="only baselines may"):
        check_applicable(board.track("property"), replace(floor, name="mine", baseline=False))


def test_a_metric_may_have_a_tolerance_of_its_own(board: Board) -> None:
    first, *others = board.track("property").metrics
    track = board.track("property").model_copy(update={"tolerance": 0.01, "tolerances": {first: 0.2}})
    values = {"target": "digits-a", "mean": 0.5, "std": None, "low": None, "high": None, "values": (0.5,)}
    found = [Score(metric=metric, **values) for metric in (first, *others)]
    claimed = [Score(metric=metric, **values | {"mean": 0.6, "values": (0.6,)}) for metric in (first, *others)]
    told = list(claims(claimed, found, track))
    assert len(told) == len(others) and not any(f"of {first} on" in each for each in told)
    rewrite(board, tolerances={"another": 0.1})
    with pytest.raises(InputError, match="unknown metric of the track 'another'"):
        board.track("property")


def test_from_python_a_submission_is_judged_taken_and_ranked(board: Board, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(board.path, home / "leaderboards")
    workspace, before = Workspace(home), fingerprint(home / "leaderboards")
    entry = submit(board.honest / "property", workspace, check=True, name="mine", description="From Python.")
    assert entry.name == "mine" and entry.scores and fingerprint(home / "leaderboards") == before
    assert submit(board.honest / "property", workspace, name="mine").scores == entry.scores
    table = leaderboard("property", workspace)
    assert len(table) == 2 * 2 and set(table["entry"]) == {"mine", "earlier"} and table["current"].all()
    best = table.iloc[0]
    assert (
        best["rank"] == 1 and best["mean"] == read_entry(home / "leaderboards/property" / best["entry"]).scores[0].mean
    )
    with pytest.raises(InputError, match="unknown metric of property 'r3'"):
        leaderboard("property", workspace, metric="r3")
    findings = verify(["property"], workspace)
    assert [(each.entry, each.verdict) for each in findings] == [("earlier", "verified"), ("mine", "verified")]


def test_an_entry_says_by_which_versions_it_was_made(board: Board) -> None:
    recorded = read_fields(board.path / "property" / "earlier")
    assert recorded["task_version"] == recorded["method_version"] == 1
    del recorded["task_version"], recorded["method_version"]
    (board.path / "property" / "earlier" / "entry.json").write_text(json.dumps(recorded))
    found = read_entry(board.path / "property" / "earlier")
    assert (found.task_version, found.method_version) == (1, 1)
    home = board.path.parent
    assert [each.verdict for each in verify(["property"], Workspace(home))] == ["verified"]
    assert read_fields(board.path / "property" / "earlier") == recorded  # nothing was computed that is not in it


def test_scores_of_another_version_of_the_task_stay_readable_and_stand_apart(
    run: Run, board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, track = board.path.parent, board.track("property")
    monkeypatch.setattr(PropertyPrediction, "version", 2)
    with pytest.raises(Refused, match="is for version 1 of the task property_prediction, and the track has version 2"):
        add(board.path, track, board.honest / "property", None)
    change(board.honest / "property", task_version=2)
    add(board.path, track, board.honest / "property", None)

    found = Entries.read(board.path, track)
    assert [entry.name for _, entry in found.ranked()] == ["honest"]
    assert [(place, entry.name) for place, entry in found.all()] == [(1, "honest"), (None, "earlier")]
    assert found.leading[0] is not None and found.leading[0].name == "honest"
    table = leaderboard("property", Workspace(home)).set_index("entry")
    assert not table.loc["earlier", "current"].any() and table.loc["earlier", "rank"].isna().all()
    assert (table.loc["earlier", "task_version"] == 1).all() and table.loc["earlier", "mean"].notna().all()
    with pytest.raises(InputError, match="unknown entry 'earlier'"):
        differences(board.path, [track], "honest", "earlier")

    code, output = run("leaderboard", "show", "property", "--home", home)
    assert code == 0 and "property: r2:test_accuracy, by version 1 of the task" in " ".join(output.split())
    write_site([found], tmp_path / "site")
    page = (tmp_path / "site" / "property" / "index.html").read_text()
    assert "Scored by other versions of the task" in page and "earlier/index.html" in page
    assert "version 1 of the task scored it" in (tmp_path / "site/property/earlier/index.html").read_text()

    before = fingerprint(board.path / "property" / "earlier")
    code, output = run("leaderboard", "verify", "property", "--home", home)
    assert code == 0 and "1 former, 1 verified" in output and "this zoobench has version 2" in output
    assert fingerprint(board.path / "property" / "earlier") == before
    with artefact(board.path / "property" / "earlier").open("ab") as file:
        file.write(b"more")
    code, output = run("leaderboard", "verify", "property/earlier", "--home", home)
    assert code == 2 and "1 refused" in output
