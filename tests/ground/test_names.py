"""Names are data: whatever strangers call zoos, models, datasets, architectures and layers, no path leaves its folder,
and nothing raw reaches a terminal or a page."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from conftest import Run
from helpers.submitting import fingerprint
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from zoo_generation.data.load import load_images
from zoo_generation.errors import InputError
from zoo_generation.names import file_name, inside, is_file_name
from zoo_generation.networks.architectures import Layout
from zoo_generation.text import inert_markdown, printable, shown, visible
from zoo_generation.training.jobs import dataset_key
from zoo_generation.training.spec import make_spec
from zoo_generation.training.train import train_models
from zoobench.cli.console import Column, Console, styled, table
from zoobench.zoo import Zoo, ZooSink, population_names
from zoobench.zoo.sink import Part, part_of

ESCAPES = "\x1b[31mred\x1b]0;title\x07\x9b2J"
MARKUP = "[red]x[/red] [link=https://example.org]y[/link] :warning:"
HTML = "<script>alert(1)</script><img src=x onerror=alert(1)>"
MARKDOWN = "| a | `b` **c** [d](https://example.org) https://example.org\n---\n# e"
NAMES = [
    *("..", ".", "", "../mine", "x/../../conf/settings", "/elsewhere", "C:\\x", "~/x", ".hidden", "-rf", "a/b"),
    *("nul\0", "two\nlines", ESCAPES, "\u202etxt.exe", MARKUP, HTML, MARKDOWN, "CON", "aux.txt", "sane.", "x" * 500),
]
RAW = re.compile(r"[^\n -~\u00a1-\u00ac\u00ae-\u2029\u2030-\u2065\u2070-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What steers a terminal or turns text around."""

texts = st.text(max_size=300) | st.sampled_from(NAMES)


@given(texts, texts)
@example("../mine", "___mine")
def test_any_text_names_a_file_of_its_own_in_its_folder(one: str, other: str) -> None:
    folder = Path("/home/results")
    path = inside(folder, one, ".json")
    assert path.parent == folder and path.resolve().parent == folder.resolve()
    assert is_file_name(file_name(one)) and file_name(file_name(one)) == file_name(one)
    assert one == other or file_name(one) != file_name(other)
    assert not is_file_name(one) or file_name(one) == one


@pytest.mark.parametrize("name", NAMES)
def test_what_names_no_file_is_told_from_what_does(name: str) -> None:
    assert not is_file_name(name)


@pytest.mark.parametrize("name", ["digits-cnn_s", "a+b", "_x", "v1..2", "console", "comma", "com10", "x" * 200])
def test_names_in_use_stay_as_they_are(name: str) -> None:
    assert is_file_name(name) and file_name(name) == name


@given(texts)
def test_text_is_shown_on_one_line_and_obeyed_by_nothing(text: str) -> None:
    for safe in (printable(text), shown(text), visible(text).replace("\n", "")):
        assert not RAW.search(safe) and "\n" not in safe
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, color_system=None, width=3000, legacy_windows=False)
    rows = table(text, [text], [text])
    rows.add_row(text, styled(text, "bold"))
    console.print(text, rows)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
    assert not RAW.search(plain) and printable(text).strip()[:50] in plain
    assert "\x1b]8" not in out.getvalue()


@given(texts)
def test_text_is_no_markup_in_markdown(text: str) -> None:
    rendered = MarkdownIt("commonmark").enable("table").parse(f"| x {inert_markdown(text)} |\n|---|\n| y |\n")
    kinds = {child.type for token in rendered for child in token.children or []}
    assert kinds <= {"text"} and len([token for token in rendered if token.type == "tr_open"]) == 2


def test_progress_is_told_as_data() -> None:
    from rich.progress import Progress

    with Progress(Column("{task.description}"), console=Console(file=io.StringIO())) as bar:
        bar.add_task(f"{MARKUP}{ESCAPES}")
        assert Column("{task.description}").render(bar.tasks[0]).plain == printable(f"{MARKUP}{ESCAPES}")


def test_populations_of_any_names_have_files_of_their_own() -> None:
    columns = {"width": 1.0, "channels": 1, "image_size": 8}
    rows = [pd.Series({"dataset": one, "architecture": other, **columns}) for one in NAMES for other in NAMES[:5]]
    names = population_names(rows)
    assert all(map(is_file_name, names)) and len({name.lower() for name in names}) == len(rows)


@pytest.fixture(scope="module")
def part() -> Part:
    """Seven small models of digits."""
    specs = make_spec({"datasets": "digits", "learning_rate": [0.001, 0.003], "seeds": 7, "epochs": 1}).models()
    specs = [spec.model_copy(update={"train_images": 100}) for spec in specs]
    return part_of(train_models(specs, load_images(dataset_key(specs[0]), None), 64))


@pytest.fixture(scope="module")
def sound(part: Part, tmp_path_factory: pytest.TempPathFactory) -> Path:
    sink = ZooSink(tmp_path_factory.mktemp("sound") / "zoo")
    sink.write_part(part)
    sink.write_card("digits", {})
    return sink.path  # type: ignore[return-value]


def called(zoo: Path, name: object) -> Path:
    """The zoo under another name."""
    card = json.loads((zoo / "zoo.json").read_text())
    (zoo / "zoo.json").write_text(json.dumps(card | {"name": name}))
    return zoo


def hostile(part: Part, path: Path, what: str) -> Path:
    """A zoo whose tables or layout carry what no name should: models, dataset, architecture or layers."""
    ids = {row["model_id"]: row["model_id"] for row in part.models}
    if what == "models":
        ids = {model: f"{NAMES[place % len(NAMES)]}{place}" for place, model in enumerate(ids)}
    bad = f"../{ESCAPES}{MARKUP}{HTML}{MARKDOWN}\0\u202e"
    other = {what: bad} if what in ("dataset", "architecture", "activation") else {}
    layout = part.layout
    if what == "layers" and layout is not None:
        layout = Layout.of_shapes({f"{bad}/{entry.name}": tuple(entry.shape) for entry in layout})
    sink = ZooSink(path)
    models = [row | other | {"model_id": ids[row["model_id"]]} for row in part.models]
    rows = [row | {"model_id": ids[row["model_id"]]} for row in part.checkpoints]
    sink.write_part(Part(models, rows, part.weights, layout))
    sink.write_card("hostile", {})
    card = json.loads((path / "zoo.json").read_text())
    (path / "zoo.json").write_text(json.dumps(card | {"hardware": bad, "built": bad, "torch": bad}))
    return path


COMMANDS = {
    "inspect": ["zoo", "inspect", "{zoo}"],
    "validate": ["zoo", "validate", "{zoo}"],
    "tokens": ["tokens", "build", "--zoo", "{zoo}"],
    "eval": ["eval", "--model", "layer_statistics", "--seeds", "1", "--zoo", "{zoo}"],
    "embed": ["embed", "{zoo}", "--model", "layer_statistics"],
    "generate": ["generate", "--model", "weight_density", "--drawn", "4", "--kept", "2", "--zoo", "{zoo}"],
    "train": ["train", "--model", "pca", "--zoo", "{zoo}"],
    "ablate": ["ablate", "{home}/study.yaml", "--dry-run"],
    "modelzoos": ["zoo", "export", "{zoo}", "--to", "modelzoos", "--out", "{home}/out"],
    "safetensors": ["zoo", "export", "{zoo}", "--to", "safetensors", "--out", "{home}/out"],
    "huggingface": ["zoo", "export", "{zoo}", "--to", "huggingface", "--out", "{home}/out"],
}


CARRIED = ("models", "dataset", "architecture", "activation", "layers")
LOOKED_AT = {
    "eval": ("dataset", "architecture"),
    "generate": ("dataset", "architecture"),
    "ablate": ("models", "layers"),
}
"""Of commands that train or evaluate: others' names are not theirs to show, or take a whole evaluation."""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A folder with a home, and beside it files that must not change."""
    for name in ("mine", "mine-layer_statistics", "my-pca-0", "elsewhere", "conf"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "settings.json").write_text("precious")
    (tmp_path / "home" / "results" / "generated-digits-weight_density").mkdir(parents=True)
    (tmp_path / "home" / "results" / "generated-digits-weight_density" / "precious.txt").write_text("weeks of training")
    before = around(tmp_path)
    yield tmp_path
    assert around(tmp_path) == before
    assert (tmp_path / "home" / "results" / "generated-digits-weight_density" / "precious.txt").exists()
    for file in (tmp_path / "home").rglob("*"):
        assert not RAW.search(file.name) and not file.is_symlink()
        if file.suffix in {".json", ".md", ".csv", ".html"}:
            assert not RAW.search(file.read_text())


def around(path: Path) -> dict[str, str]:
    return {each.name: fingerprint(each) for each in path.iterdir() if each.name not in ("home", "zoo")}


def run_on(zoo: Path, home: Path, command: list[str], run: Run) -> tuple[int, str]:
    study = {"name": "study", "zoos": {"a": {"path": str(zoo)}}, "combine": "alone", "tasks": {"reconstruction": {}}}
    (home / "study.yaml").write_text(yaml.safe_dump(study))
    before = fingerprint(zoo)
    code, output = run(*(part.format(zoo=zoo, home=home) for part in command), "--home", home)
    assert not RAW.search(output), repr(output)
    assert fingerprint(zoo) == before
    return code, output


@pytest.mark.parametrize("command", COMMANDS)
def test_a_zoo_named_as_no_file_can_be_is_refused(
    run: Run, sound: Path, place: Path, command: str, tmp_path: Path
) -> None:
    zoo = Path(shutil.copytree(sound, tmp_path / "zoo"))
    own = [f"{tmp_path}/elsewhere/settings", f"{tmp_path}/mine", None, 5, ["x"], {"x": 1}]
    for name in [*NAMES, *own] if command == "tokens" else ["../mine", "x/../../conf/settings", ESCAPES]:
        code, output = run_on(called(zoo, name), place / "home", COMMANDS[command], run)
        assert code == 2 and "Error: " in output and "name" in output
        assert output.count("\n") == 1 or command == "validate"


@pytest.mark.parametrize(
    ("command", "what"),
    [(command, what) for command in COMMANDS for what in CARRIED if what in LOOKED_AT.get(command, CARRIED)],
)
def test_a_zoo_that_names_things_as_it_likes_stays_in_its_place(
    run: Run, part: Part, place: Path, tmp_path: Path, command: str, what: str
) -> None:
    zoo = hostile(part, tmp_path / "zoo", what)
    code, output = run_on(zoo, place / "home", COMMANDS[command], run)
    assert (
        code == 0
        or (code == 1 and command == "eval" and "failed" in output)
        or (code == 2 and output.splitlines()[-1].startswith("Error: "))
    ), output
    card = place / "home" / "out" / "README.md"
    if card.exists():
        tokens = MarkdownIt("commonmark").enable("table").parse(card.read_text().partition("\n---\n")[2])
        found = [(child.type, child.attrs) for token in tokens for child in token.children or []]
        assert not [kind for kind, _ in found if kind in ("html_inline", "link_open")]
        assert not [token for token in tokens if token.type == "html_block"]
        assert [attributes["src"] for kind, attributes in found if kind == "image"] == ["plots/test-accuracy.png"]


def test_what_stands_where_a_result_goes_is_not_replaced(run: Run, sound: Path, place: Path) -> None:
    """Of the right name, and yet not ours."""
    code, output = run_on(sound, place / "home", COMMANDS["generate"], run)
    assert code == 2 and "precious.txt" in output and "move it away" in output


def test_folders_named_as_they_like_are_imported_as_data(run: Run, sound: Path, place: Path) -> None:
    from zoobench.zoo.exporters import export_zoo

    home, models = place / "home", place / "zoo"
    export_zoo(Zoo(sound), "safetensors", models)
    for folder, name in zip(sorted(models.iterdir()), [ESCAPES, "two\nlines", MARKUP, "\u202ex"], strict=False):
        folder.rename(models / name.replace("/", "_"))
        (models / name.replace("/", "_") / "config.json").write_text("[")
    code, output = run("zoo", "import", models, "--name", "mine", "--dataset", "digits", "--home", home)
    assert code == 0 and not RAW.search(output) and "[red]x" in output


def test_a_zoo_under_a_name_too_long_for_files_is_written(sound: Path, run: Run, place: Path, tmp_path: Path) -> None:
    zoos = ",".join(
        str(called(Path(shutil.copytree(sound, tmp_path / "home" / f"z{n}")), str(n) * 150)) for n in range(3)
    )
    code, output = run("tokens", "build", "--zoo", zoos, "--home", place / "home")
    assert code == 0, output
    (made,) = (place / "home" / "tokens").iterdir()
    assert is_file_name(made.name)


def test_the_sentence_of_a_refusal_names_what_is_allowed(sound: Path, tmp_path: Path) -> None:
    zoo = called(Path(shutil.copytree(sound, tmp_path / "zoo")), "../mine")
    with pytest.raises(InputError, match=r"named '\.\./mine', which is not a safe file name: letters, digits"):
        Zoo(zoo)


def test_what_a_run_writes_of_a_sound_zoo_is_as_it_was(run: Run, sound: Path, tmp_path: Path) -> None:
    kept: dict[str, Any] = {"inspect": "results/zoo-digits.json", "tokens": "tokens/digits/tokens.json"}
    for command, file in kept.items():
        code, output = run(*(part.format(zoo=sound) for part in COMMANDS[command]), "--home", tmp_path)
        assert code == 0 and (tmp_path / file).is_file(), output
