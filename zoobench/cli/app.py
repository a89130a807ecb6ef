"""The `zoobench` command. Rooms are imported where a command needs them, so that `--help` is quick."""

from __future__ import annotations

import signal
import sys
import threading
import traceback
import warnings
from typing import NoReturn

import typer

from zoo_generation.errors import InputError
from zoo_generation.machine import refusal
from zoobench.cli import build_zoo, embed, evaluate, generate, leaderboard, submit, tokens, train, zoo

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Benchmark weight space learning: build model zoos, learn from their weights, rank methods.",
    epilog="Start with [bold]zoobench demo[/bold]: the whole job on bundled data, in minutes.",
)
app.command("build-zoo", epilog=build_zoo.EXAMPLES)(build_zoo.build_zoo)
app.command("train", epilog=train.EXAMPLES)(train.train)
app.command("eval", epilog=evaluate.EVAL_EXAMPLES)(evaluate.evaluate)
app.command("ablate", epilog=evaluate.ABLATE_EXAMPLES)(evaluate.ablate)
app.command("generate", epilog=generate.EXAMPLES)(generate.generate)
app.command("embed", epilog=embed.EXAMPLES)(embed.embed)
app.command("submit", epilog=submit.EXAMPLES)(submit.submit)
app.command("demo")(evaluate.demo)
app.add_typer(zoo.app, name="zoo")
app.add_typer(tokens.app, name="tokens")
app.add_typer(leaderboard.app, name="leaderboard")


def main() -> None:
    """Run a command; what the user can mend is told in one sentence on standard error, with exit code 2."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # which removes what is half-written
    threading.excepthook = _in_a_thread
    warnings.formatwarning = lambda message, *_: f"Warning: {message}\n"  # where in the code is no use to users
    try:
        app()
    except InputError as error:
        _tell(error)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if (reason := refusal(error)) is not None:
            _tell(InputError(reason))
        from zoo_generation.text import visible

        sys.stderr.write(visible(traceback.format_exc()))  # which quotes what strangers named
        sys.exit(1)


def _in_a_thread(ended: threading.ExceptHookArgs) -> None:
    """A thread that writes (TensorBoard's) was refused: the work that it is of is told the same, and ends with it."""
    if ended.exc_value is None or refusal(ended.exc_value) is None:
        threading.__excepthook__(ended)


def _tell(error: InputError) -> NoReturn:
    from zoobench.cli.console import Console, styled

    console = Console(stderr=True, soft_wrap=True)
    console.print(styled("Error:", "red"), str(error))
    for problem in getattr(error, "problems", ())[1:]:  # of a submission, all that is wrong is told
        console.print(f"       {problem}")
    sys.exit(2)
