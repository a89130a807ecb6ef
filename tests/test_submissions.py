"""Submissions from anyone: the honest are taken as they are, the others refused, and the leaderboard is as it was."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hostile_artefacts import CASES
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from submitting import TRACKS, Board, artefact, change, fingerprint, make_board, read_fields, seal, write_submission
from torch import Tensor

from zoo_generation.errors import InputError
from zoobench.leaderboard import fetching, read_entries, read_entry
from zoobench.leaderboard.archive import pack
from zoobench.leaderboard.board import add, exchange
from zoobench.leaderboard.entry import parse_entry
from zoobench.leaderboard.judging import content_digest
from zoobench.leaderboard.reading import most_bytes, read_answers, read_submission
from zoobench.leaderboard.reference import read_references
from zoobench.leaderboard.refusal import AbsentError, Refused
from zoobench.leaderboard.verification import verify


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Board:
    return make_board(tmp_path_factory.mktemp("board"))


@pytest.fixture
def board(made: Board, tmp_path: Path) -> Board:
    """One's own copy."""
    shutil.copytree(made.path, tmp_path / "leaderboards")
    shutil.copytree(made.honest, tmp_path / "honest")
    return replace(made, path=tmp_path / "leaderboards", honest=tmp_path / "honest")


def one_sentence(error: InputError) -> str:
    text = str(error)
    assert text and text.isprintable() and len(text) < 700, text
    return text


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_submission_is_refused(name: str, board: Board) -> None:
    case = CASES[name]
    before = fingerprint(board.path)
    path = case.spoil(board.honest / case.track, board) or board.honest / case.track
    with pytest.raises(InputError) as caught:
        add(board.path, board.track(case.track), path, None)
    assert case.says in one_sentence(caught.value)
    print(name, "|", caught.value)
    assert fingerprint(board.path) == before
    assert not Path("/tmp/zoobench-was-here").exists()
