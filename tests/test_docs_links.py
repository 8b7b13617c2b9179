"""The guides, concepts, statistics and API pages: links between sources, examples that run, commands, public names."""

import doctest
import inspect
import re
import shlex
import shutil
from pathlib import Path
from types import ModuleType

import pytest

import analyses
import tasks
import training
from tests.analyses import conftest

DOCS = Path(__file__).parent.parent / "docs"
SOURCES = sorted([*DOCS.rglob("*.md"), DOCS.parent / "README.md"])
GUIDES = [DOCS / "start.md", *sorted(DOCS.glob("guides/*.md")), *sorted(DOCS.glob("concepts/*.md"))]
STATISTICS = sorted(DOCS.glob("statistics/*.md"))
tiny_study = conftest.tiny_study

FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def name_of(page: Path) -> str:
    return page.relative_to(DOCS.parent).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def headings(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    titles = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text("utf-8")), re.MULTILINE)
    plain = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title) for title in titles]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in plain}


@pytest.mark.parametrize("page", SOURCES, ids=name_of)
def test_links_of_sources_lead_to_files_and_headings(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", FENCED.sub("", page.read_text("utf-8")))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+:", target):
            continue
        path, _, heading = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), target
        assert not heading or found.suffix != ".md" or heading in headings(found), target


@pytest.mark.parametrize("page", [page for page in GUIDES if blocks(page, "python")], ids=name_of)
def test_python_examples_run_one_after_the_other(
    page: Path, tiny_study: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny_study, tmp_path / "runs" / "demo")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for example in blocks(page, "python"):
        exec(compile(example, page.name, "exec"), names)
        assert capsys.readouterr().out.strip()  # every example of a guide shows something


@pytest.mark.parametrize("page", [page for page in STATISTICS if page.stem != "index"], ids=name_of)
def test_worked_examples_give_what_they_say(page: Path) -> None:
    text = "\n".join(blocks(page, "pycon"))
    test = doctest.DocTestParser().get_doctest(text, {}, page.stem, str(page), 0)
    said: list[str] = []
    outcome = doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    assert not outcome.failed, "".join(said)
    assert any(example.want for example in test.examples)


@pytest.mark.parametrize("page", [page for page in STATISTICS if page.stem != "index"], ids=name_of)
def test_every_statistic_says_when_it_misleads(page: Path) -> None:
    assert re.search(r"^## When it misleads\n\n- \*\*", page.read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("page", [page for page in GUIDES if blocks(page, "console")], ids=name_of)
def test_commands_are_understood(page: Path) -> None:
    from interp.cli import app

    lines = [line.removeprefix("$ ") for block in blocks(page, "console") for line in block.splitlines()]
    lines = [line for line in lines if line not in ("make demo", "source .venv/bin/activate")]
    assert lines
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "interp"
        app.parse_args(arguments, exit_on_error=False, print_error=False)


@pytest.mark.parametrize("package", [tasks, training, analyses], ids=lambda package: package.__name__)
def test_every_public_name_stands_once_in_the_api(package: ModuleType) -> None:
    shown = [
        name
        for page in DOCS.glob("api/*.md")
        for name in re.findall(rf"^\.\. auto\w+:: {package.__name__}\.(\w+)$", page.read_text("utf-8"), re.MULTILINE)
    ]
    public = [name for name, thing in vars(package).items() if name[0] != "_" and not inspect.ismodule(thing)]
    assert sorted(shown) == sorted(public), "add the new name to a page of docs/api"


@pytest.mark.parametrize("module", ["interp.paper", "interp.widgets"])
def test_packages_of_interp_have_their_page(module: str) -> None:
    assert (DOCS.parent / module.replace(".", "/") / "__init__.py").is_file()
    assert any(f".. automodule:: {module}\n" in page.read_text("utf-8") for page in DOCS.glob("api/*.md"))


@pytest.mark.parametrize("picture", sorted(DOCS.glob("_static/concepts/*.svg")), ids=lambda path: path.stem)
def test_pictures_have_a_dark_scheme_a_title_and_words_for_who_cannot_see_them(picture: Path) -> None:
    drawn = picture.read_text("utf-8")
    assert "prefers-color-scheme: dark" in drawn
    assert "<title>" in drawn
    shown = [text for page in GUIDES for text in re.findall(r"!\[([^]]+)\]\((\S+)\)", page.read_text("utf-8"))]
    assert [alternative for alternative, path in shown if path.endswith(f"/{picture.name}") and len(alternative) > 40]
