"""The documentation site is built without a warning, loads nothing from elsewhere, and its links lead somewhere."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parent.parent
MADE = {"genindex.html", "py-modindex.html", "search.html"}  # by Sphinx; no page of ours
LINKED = {"canonical", "next", "prev", "index", "search", "author", "copyright", "top"}  # <link> that loads nothing

pytestmark = pytest.mark.slow


@dataclass
class Page(HTMLParser):
    """What a page loads, links to, and can be linked at."""

    loads: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    styles: str = ""
    _in_style: bool = False

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self._in_style = tag == "style"
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        self.styles += values.get("style", "")
        if tag == "a":
            self.links += [values["href"]] if "href" in values else []
        elif tag != "link" or not set(values.get("rel", "").split()) <= LINKED:
            self.loads += [values[name] for name in ("src", "href", "xlink:href", "data", "poster") if name in values]
            self.loads += [one.split()[0] for one in values.get("srcset", "").split(",") if one.strip()]

    def handle_data(self, data: str) -> None:
        self.styles += data if self._in_style else ""

    def handle_endtag(self, tag: str) -> None:
        self._in_style = self._in_style and tag != "style"


def read(text: str) -> Page:
    page = Page()
    page.feed(text)
    return page


def remote(address: str) -> bool:
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme not in ("", "data")


def loaded_by_css(text: str) -> Iterator[str]:
    for quoted in re.findall(r"url\(\s*([^)]*)\)|@import\s+(['\"][^'\"]*['\"])", text):
        yield "".join(quoted).strip().strip("'\"")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of the site, and what building it had to say."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-b", "html", "-d", str(folder / "trees"), "docs"]
    done = subprocess.run(
        [*command, str(folder / "html")], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"},
    )  # fmt: skip
    return folder / "html", done.stdout + done.stderr


@pytest.fixture(scope="module")
def pages(built: tuple[Path, str]) -> dict[str, Page]:
    site, _ = built
    return {path.relative_to(site).as_posix(): read(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}


def test_site_is_built_without_a_warning(built: tuple[Path, str]) -> None:
    site, said = built
    assert said.strip() == ""
    assert (site / "index.html").is_file()


def test_every_source_is_a_page_and_every_page_is_in_the_contents(built: tuple[Path, str]) -> None:
    site, _ = built
    navigation = (site / "index.html").read_text("utf-8").partition("sidebar-tree")[2].partition("</aside>")[0]
    listed = {urlsplit(link).path for link in read(navigation).links}
    made = {path.relative_to(site).as_posix() for path in site.rglob("*.html")} - MADE - {"index.html"}
    assert listed - {"#", ""} == made
    sources = {
        path.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for path in (ROOT / "docs").glob("**/*.md")
    }
    assert {one for one in sources if not one.startswith("notebooks/")} - {
        "index.html",
        "api/interp-widgets.html",
    } <= made


def test_no_page_loads_anything_from_elsewhere(built: tuple[Path, str], pages: dict[str, Page]) -> None:
    site, _ = built
    found = {
        (name, address)
        for name, page in pages.items()
        for address in [*page.loads, *loaded_by_css(page.styles)]
        if remote(address)
    }
    sheets = {path.name: path.read_text("utf-8") for path in site.rglob("*.css")}
    found |= {(name, address) for name, text in sheets.items() for address in loaded_by_css(text) if remote(address)}
    assert not found
    assert all(page.loads for page in pages.values())


def test_what_pages_load_is_there(built: tuple[Path, str], pages: dict[str, Page]) -> None:
    site, _ = built
    missing = [
        (name, address)
        for name, page in pages.items()
        for address in page.loads
        if not urlsplit(address).scheme and not ((site / name).parent / unquote(urlsplit(address).path)).exists()
    ]
    assert not missing


def test_links_and_anchors_lead_somewhere(built: tuple[Path, str], pages: dict[str, Page]) -> None:
    site, _ = built
    broken, followed = [], 0
    for name, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            followed += 1
            target = ((site / name).parent / unquote(parts.path)).resolve() if parts.path else site / name
            where = target.relative_to(site.resolve() if parts.path else site).as_posix()
            known = pages[where].anchors if where in pages else None
            if not target.exists() or (parts.fragment and known is not None and unquote(parts.fragment) not in known):
                broken.append((name, link))
    assert followed > 1000
    assert not [one for one in broken if one[1] != "#"]


def test_the_checks_see_what_they_look_for() -> None:
    page = read(
        '<link rel="stylesheet" href="https://a/x.css"><link rel="canonical" href="https://b/">'
        '<a id="here" href="//c/"><img src="data:image/png;base64,00" srcset="//d/y.png 2x">'
        '<style>p { background: url("http://e/z.png") }</style>'
    )
    assert [one for one in page.loads if remote(one)] == ["https://a/x.css", "//d/y.png"]
    assert page.links == ["//c/"]
    assert page.anchors == {"here"}
    assert list(loaded_by_css(page.styles)) == ["http://e/z.png"]
    assert list(loaded_by_css('@import "//f/w.css";')) == ["//f/w.css"]
