"""README and docs: their commands exist, their links resolve, and their Python runs."""

from __future__ import annotations

import re
import runpy
import shlex
from collections.abc import Iterator
from pathlib import Path

import cli_reference
import click
import pytest
from click.testing import CliRunner

from codecvsr.cli import cli
from tests.streams import encode, moving_texture

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "scripts/training/recipes/NOTES.md"]
PROGRAMS = {"pip", "python", "python3", "apt-get", "torchrun", "codecvsr", "."}


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def shell_commands(page: Path) -> Iterator[list[str]]:
    """The words of every command in a shell block: continued lines joined; comments, redirections, pipes and variables left out."""
    for block in blocks(page, "sh"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
                words.pop(0)
            for each in " ".join(shlex.quote(word) for word in words).split("&&"):
                words = shlex.split(each)
                ends = [place for place, word in enumerate(words) if word in (">", "|")]
                yield from [words[: ends[0]] if ends else words] if words else []


COMMANDS = [pytest.param(page, words, id=f"{page.name}: {shlex.join(words)[:60]}")
            for page in PAGES for words in shell_commands(page)]  # fmt: skip


def parse(words: list[str]) -> None:
    """Parses a ``codecvsr`` command as click does, without running it.

    Raises:
        click.UsageError: a command, an option or a value does not exist.
    """
    command: click.Command = cli
    context = click.Context(cli, info_name="codecvsr")
    while isinstance(command, click.Group) and words:
        found = command.get_command(context, words[0])
        if found is None:
            raise click.UsageError(f"no such command: {words[0]}")
        context = click.Context(found, parent=context, info_name=words[0])
        command, words = found, words[1:]
    if not isinstance(command, click.Group):
        command.make_context(command.name, list(words), parent=context.parent)


@pytest.mark.parametrize(("page", "words"), COMMANDS)
def test_every_command_exists(page: Path, words: list[str]) -> None:
    program, *arguments = words
    if program.startswith("scripts/"):
        assert (ROOT / program).is_file()
        return
    assert program in PROGRAMS, f"{page.name}: unknown program {program}"
    if program == "torchrun":
        arguments = arguments[arguments.index("-m") + 1 :]
        program, *arguments = arguments
    if program == "python":
        script = ROOT / arguments[0]
        assert script.is_file()
        text = script.read_text(encoding="utf-8")
        for option in (word.split("=")[0] for word in arguments[1:] if word.startswith("--")):
            assert option in text or "from codecvsr.cli" in text, f"{arguments[0]} has no {option}"
    if program == "codecvsr":
        parse(arguments)


@pytest.mark.parametrize(
    "words", ["upscale in.mp4 -o out.mp4 --no-such-option", "infer --clip-root a", "enhance in.mp4"]
)
def test_a_wrong_command_is_found(words: str) -> None:
    with pytest.raises(click.UsageError):
        parse(words.split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    """Paths in backquotes that begin with a folder of the repository."""
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:codecvsr|docs|native|scripts|tests|weights|inputs)/[\w./-]+)`", text):
        assert (ROOT / name).exists(), f"{page.name}: {name} does not exist"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_resolves(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), f"{page.name}: {link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}: no such heading"


def test_readme_is_short_and_links_every_page() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 170
    missing = [page.name for page in sorted((ROOT / "docs").glob("*.md")) if f"docs/{page.name}" not in text]
    assert not missing


def test_first_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """README's ``upscale`` and ``doctor``, word by word, with a small clip as in.mp4."""
    commands = [words[1:] for words in shell_commands(ROOT / "README.md") if words[0] == "codecvsr"]
    chosen = [words for words in commands if words[0] in ("upscale", "doctor")]
    assert len(chosen) >= 3
    encode(tmp_path / "in.mp4", moving_texture(5, 48, 64, 2, 1))
    monkeypatch.chdir(tmp_path)
    for words in chosen:
        done = CliRunner().invoke(cli, words)
        assert done.exit_code == 0, done.output
    assert (tmp_path / "in_4x.mp4").is_file() and (tmp_path / "fast.mp4").is_file()


@pytest.mark.parametrize("name", ["README.md", "docs/python.md"])
def test_python_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode(tmp_path / "clip.mp4", moving_texture(5, 48, 64, 2, 1))
    monkeypatch.chdir(tmp_path)
    (block,) = blocks(ROOT / name, "python")
    (tmp_path / "example.py").write_text(block, encoding="utf-8")
    runpy.run_path("example.py")
    assert (tmp_path / "clip_4x.mp4").is_file()


def test_the_reference_has_every_command_and_option() -> None:
    text = cli_reference.PAGE.read_text(encoding="utf-8")
    for name, command in cli_reference.commands():
        assert f"# codecvsr {name}\n" in text
        section = text.split(f"# codecvsr {name}\n")[1].split("\n## ")[0].split("\n### ")[0]
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not set(parameter.opts) & set(cli_reference.SHARED):
                for option in [*parameter.opts, *parameter.secondary_opts]:
                    assert parameter.hidden or f"{option}" in section, f"{name}: {option} is missing"
    assert cli_reference.page(text) == text, "docs/cli.md: out of date; run python scripts/cli_reference.py"
