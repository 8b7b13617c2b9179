"""The explorer in JupyterLab in a real browser: a head is clicked, the slider moved, and the panel changes."""

import json
import shutil
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

from tests.interp.lab_browser import CHROMIUM, ROOT, TOKEN, Browser, browser, lab, until

pytestmark = pytest.mark.slow

CELL = """\
from interp.widgets import Exploring, HeadOverlapExplorer
from training import load_run

exploring = Exploring(n=32, head_n=8, permutations=200, bootstraps=50, primitive_n=16, primitive_permutations=50)
explorer = HeadOverlapExplorer(
    load_run("copy-shift"), ["shift", "copy"], exploring=exploring, primitives=("offset_copy",)
)
explorer"""

PLOT = "document.querySelectorAll('.js-plotly-plot')[{}]"

READY = (
    f"fetch('/api/sessions?token={TOKEN}').then(answer => answer.json())"
    ".then(all => all.length === 1 && all[0].kernel.execution_state === 'idle' && all[0].kernel.connections > 0)"
)

HEAD = "[...document.querySelectorAll('.interp-words h3')].map(one => one.textContent).find(one => /^Head/.test(one))"

WORDS = "[...document.querySelectorAll('.interp-words')].map(one => one.textContent).join(' ')"


@dataclass(frozen=True)
class Open:
    """A tab with the explorer, and the folder that the notebook lies in."""

    tab: Browser
    folder: Path


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Generator[Open, None, None]:
    folder, private = tmp_path_factory.mktemp("notebook"), tmp_path_factory.mktemp("private")
    shutil.copytree(
        ROOT / "docs/notebooks/runs/copy-shift", folder / "copy-shift", ignore=shutil.ignore_patterns("results")
    )
    spec = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)], metadata=spec)
    nbformat.write(book, folder / "explorer.ipynb")
    with browser(private, height=1900) as tab, lab(folder, private) as address:
        tab.call("Page.navigate", url=f"{address}/doc/tree/explorer.ipynb?token={TOKEN}")
        tab.until("!!window.jupyterapp && !!document.querySelector('.jp-Notebook .jp-CodeCell')", "the notebook")
        tab.until(READY, "the kernel")
        tab.js("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        tab.until("document.querySelectorAll('.js-plotly-plot .main-svg').length >= 10", "five figures")
        settled(tab)
        yield Open(tab, folder)


def settled(tab: Browser) -> None:
    """Waits until the kernel has nothing to do and the effect by length has all six lengths of both tasks."""
    drawn = f"{PLOT.format(2)}?.querySelectorAll('.point').length === 12"
    tab.until(f"{drawn} && !!document.querySelector('[data-status=idle]')", "the head's effect at every length")


def middle(tab: Browser, selector: str, *, plot: int, right: float = 0.5, down: float = 0.5) -> tuple[float, float]:
    """Where a part of a figure is, after it was scrolled into view."""
    place = f"{PLOT.format(plot)}.querySelector({json.dumps(selector)})"
    tab.js(f"{PLOT.format(plot)}.scrollIntoView({{block: 'center'}})")
    box = json.loads(tab.js(f"JSON.stringify({place}.getBoundingClientRect())"))
    return box["x"] + right * box["width"], box["y"] + down * box["height"]


def test_a_click_in_a_map_shows_that_head(opened: Open) -> None:
    tab = opened.tab
    assert tab.js(HEAD) == "Head 1.1"  # which both tasks need most
    before = tab.js(f"JSON.stringify({PLOT.format(3)}.data[0].z)")
    tab.click(*middle(tab, ".nsewdrag", plot=0, right=3.5 / 8, down=3.5 / 4))
    tab.until(f"{HEAD} === 'Head 3.3'", "head 3.3")
    tab.until(f"JSON.stringify({PLOT.format(3)}.data[0].z) !== {json.dumps(before)}", "other patterns")
    tab.until(f"{PLOT.format(0)}.layout.shapes[0].y0 === 2.5 && {PLOT.format(0)}.layout.shapes[1].x0 === 2.5", "frames")
    settled(tab)


def test_a_click_in_the_scatter_shows_that_head(opened: Open) -> None:
    tab = opened.tab
    at = f"{PLOT.format(1)}.data.findLastIndex(one => one.text && one.text.includes('2.4'))"
    place, point = (int(tab.js(text)) for text in (at, f"{PLOT.format(1)}.data[{at}].text.indexOf('2.4')"))
    # plotly draws a group per trace, in their order, leaving out those without points
    group = tab.js(f"{PLOT.format(1)}.data.slice(0, {place}).filter(one => one.x.length).length")
    tab.js(f"{PLOT.format(1)}.querySelectorAll('.scatter')[{group}].querySelectorAll('.point')[{point}].id = 'clicked'")
    tab.click(*middle(tab, "#clicked", plot=1))
    tab.until(f"{HEAD} === 'Head 2.4'", "head 2.4")
    settled(tab)


def test_the_slider_goes_through_training(opened: Open) -> None:
    tab = opened.tab
    assert "Step 1800." in tab.js(WORDS)
    before = tab.js(f"JSON.stringify({PLOT.format(0)}.data[0].z)")
    tab.js("document.querySelector('.noUi-handle').focus()")
    tab.press("ArrowLeft", 37)
    tab.until(f"({WORDS}).includes('Step 1620.')", "the checkpoint before")
    tab.until(f"JSON.stringify({PLOT.format(0)}.data[0].z) !== {json.dumps(before)}", "other maps")
    settled(tab)


def test_the_buttons_locate_primitives_and_write_a_figure(opened: Open) -> None:
    tab = opened.tab
    tab.until(f"/Not located yet at step 1620/.test({WORDS})", "no verdicts yet")
    press = "[...document.querySelectorAll('button')].find(one => one.textContent === '{}').click()"
    tab.js(press.format("Locate primitives"))
    tab.until(f"/offset_copy/.test({WORDS}) && !/Not located/.test({WORDS})", "verdicts")
    tab.js(press.format("Write figure"))
    tab.until(f"/written: figures/.test({WORDS})", "the figure")
    written = until(lambda: sorted((opened.folder / "figures").iterdir()), "files")
    assert [path.suffix for path in written] == [".csv", ".pdf"]


def test_dark_follows_the_theme(opened: Open) -> None:
    tab, ink = opened.tab, f"{PLOT.format(0)}.layout.font.color"
    assert tab.js(ink) == "#1f2328"
    for theme, color in (("JupyterLab Dark", "#e6e6e3"), ("JupyterLab Light", "#1f2328")):
        tab.js(f"window.jupyterapp.commands.execute('apputils:change-theme', {{theme: '{theme}'}}).then(() => true)")
        tab.until(f"{ink} === '{color}'", theme)


def test_nothing_was_asked_of_the_network_and_nothing_failed(opened: Open) -> None:
    assert len(opened.tab.asked) > 50
    assert opened.tab.remote() == []
    assert opened.tab.errors == []


def test_a_figure_is_as_wide_as_its_place(opened: Open) -> None:
    wide = json.loads(
        opened.tab.js(
            "JSON.stringify([...document.querySelectorAll('.js-plotly-plot')].map(one => "
            "[one.getBoundingClientRect().width, one.parentElement.getBoundingClientRect().width]))"
        )
    )
    assert len(wide) == 5
    assert all(abs(plot - place) < 3 for plot, place in wide)
    assert CHROMIUM is not None
