"""Progress where there is no terminal: plain lines on stderr, few of them, none with `--quiet`."""

from __future__ import annotations

import pytest

from zoobench.cli import console


def test_progress_without_a_terminal_is_a_line_per_stage(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([100.0, 101.0, 131.0, 131.0, 132.0, 133.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(times))
    with console.shown_progress() as progress:
        step = progress.stage("drawing")
        step(1, 9)
        step(2, 9, {"loss": 0.5})
        progress.stage("judging")
    assert capsys.readouterr().err == "drawing\ndrawing 2/9 loss 0.500\njudging\n"
    monkeypatch.setattr(console.console, "quiet", True)
    with console.shown_progress() as progress:
        progress.stage("drawing")(1, 9)
    assert capsys.readouterr().err == ""
