"""The `zoobench` command. Each command imports what it needs when it runs, so that `--help` is quick."""

from __future__ import annotations

import signal
import sys
import threading
import traceback
import warnings
from pathlib import Path
from typing import Annotated, Literal, NoReturn, get_args

import typer

from zoo_generation.errors import InputError
from zoo_generation.machine import refusal
from zoobench import __version__
from zoobench.cli import evaluate, leaderboard, methods, tokens, zoo
from zoobench.cli.options import Home, Json, Quiet, examples

EPILOG = """
Start with [bold]zoobench demo[/bold]: the whole job on bundled data, in minutes.

Exit codes: 0 done; 1 something failed; 2 the input cannot be used, and a sentence says why; 130 interrupted.

[bold]zoobench --install-completion[/bold] lets your shell complete commands and options.
"""
Kind = Literal["methods", "tasks", "datasets", "architectures", "tracks", "presets", "importers", "exporters"]

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Benchmark weight space learning: build model zoos, learn from their weights, rank methods.",
    epilog=EPILOG,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"zoobench {__version__}")
        raise typer.Exit


@app.callback()
def zoobench(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Benchmark weight space learning: build model zoos, learn from their weights, rank methods."""


@app.command("list", epilog=examples("list methods", "list datasets --json"))
def list_things(
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help="|".join(get_args(Kind)))],
    home: Home = Path(),
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List methods, tasks, datasets and the like: what each is, where it is from, what it needs.

    Those of installed packages come last; tracks are those under leaderboards/.
    """
    from dataclasses import asdict

    from zoobench.catalogue import catalogue
    from zoobench.cli.console import show, table

    lines = catalogue(kind, home / "leaderboards")
    columns = {"what it is": "summary", "source": "paper", "needs": "needs"}
    told = {header: field for header, field in columns.items() if any(getattr(line, field) for line in lines)}
    shown = table("", ["name"], [])
    for header in told:
        shown.add_column(header, overflow="fold")
    for line in lines:
        shown.add_row(line.name, *(getattr(line, field) for field in told.values()))
    show([asdict(line) for line in lines], shown)


app.command("build-zoo", epilog=zoo.BUILD)(zoo.build_zoo)
app.command("train", epilog=methods.TRAIN_EXAMPLES)(methods.train)
app.command("eval", epilog=evaluate.EVAL_EXAMPLES)(evaluate.evaluate)
app.command("ablate", epilog=evaluate.ABLATE_EXAMPLES)(evaluate.ablate)
app.command("generate", epilog=methods.GENERATE_EXAMPLES)(methods.generate)
app.command("embed", epilog=methods.EMBED_EXAMPLES)(methods.embed)
app.command("submit", epilog=leaderboard.SUBMIT)(leaderboard.submit)
app.command("demo")(evaluate.demo)
app.add_typer(zoo.app, name="zoo")
app.add_typer(tokens.app, name="tokens")
app.add_typer(leaderboard.app, name="leaderboard")


def main() -> None:
    """Run a command. Input that cannot be used is told in one sentence on standard error, with exit code 2."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # unwinds, which removes half-written files
    threading.excepthook = _in_a_thread
    warnings.formatwarning = lambda message, *_: f"Warning: {message}\n"  # users have no use for the place in the code
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

        sys.stderr.write(visible(traceback.format_exc()))  # it may quote names that others gave
        sys.exit(1)


def _in_a_thread(ended: threading.ExceptHookArgs) -> None:
    """Ignore a thread, such as TensorBoard's, that could not write: the work it belongs to fails in the same way."""
    if ended.exc_value is None or refusal(ended.exc_value) is None:
        threading.__excepthook__(ended)


def _tell(error: InputError) -> NoReturn:
    from zoobench.cli.console import Console, styled

    console = Console(stderr=True, soft_wrap=True)
    console.print(styled("Error:", "red"), str(error))
    for problem in getattr(error, "problems", ())[1:]:  # a submission lists all its problems
        console.print(f"       {problem}")
    sys.exit(2)
