"""Progress where there is no terminal: plain lines on stderr, few of them, none with `--quiet`."""

from __future__ import annotations

import pytest

from zoobench.cli import console


def test_progress_without_a_terminal_is_a_line_per_stage(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([100.0, 101.0, 103.0, 104.0, 134.0, 135.0, 200.0, 300.0, 301.0])
    monkeypatch.setattr(console, "SECONDS_BEFORE_LINES", 2.0)
    monkeypatch.setattr(console.time, "monotonic", lambda: next(times))
    with console.shown_progress() as progress:
        progress.stage("opening")  # done at once: no line
        step = progress.stage("drawing")
        step(1, 9)
        step(2, 9, {"loss": 0.5})
        progress.stage("judging")
    assert capsys.readouterr().err == "drawing\ndrawing 2/9 loss 0.500\njudging\n"
    monkeypatch.setattr(console.console, "quiet", True)
    with console.shown_progress() as progress:
        progress.stage("drawing")(1, 9)
    assert capsys.readouterr().err == ""
