"""The report page in a real browser: figures drawn, nothing overlaps or sticks out, no error, no request."""

import html
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from interp.page import write_comparison, write_page, write_seeds
from tests.interp.further_fixtures import extras, run_findings, seed_findings
from tests.interp.page_fixtures import MadeUp, study_results

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

PROBE = """<script>
const seen = { errors: [], alerts: 0 };
addEventListener("error", (event) => seen.errors.push(String(event.message)));
addEventListener("unhandledrejection", (event) => seen.errors.push(String(event.reason)));
addEventListener("securitypolicyviolation", (event) => seen.errors.push(`policy: ${event.blockedURI}`));
console.error = (...parts) => seen.errors.push(parts.join(" "));
console.warn = (...parts) => seen.errors.push(parts.join(" "));
window.alert = () => { seen.alerts += 1; };
const visible = (box) => box.width > 0 && box.height > 0;
const overlaps = (one, other) => one.left < other.right - 1 && other.left < one.right - 1
  && one.top < other.bottom - 1 && other.top < one.bottom - 1;
const collisions = () => [...document.querySelectorAll(".plot")].flatMap((plot) => {
  const texts = [...plot.querySelectorAll("text")].filter((text) => text.textContent.trim());
  const boxes = texts.map((text) => [text.textContent, text.getBoundingClientRect()])
    .filter(([, box]) => visible(box));
  return boxes.flatMap(([name, box], place) => boxes.slice(place + 1)
    .filter(([, other]) => overlaps(box, other)).map(([other]) => `${plot.id}: ${name} | ${other}`));
});
const outside = () => [...document.querySelectorAll(".plot")].flatMap((plot) => {
  const frame = plot.getBoundingClientRect();
  return [...plot.querySelectorAll("text")].filter((text) => {
    const box = text.getBoundingClientRect();
    return visible(box) && text.textContent.trim()
      && (box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1);
  }).map((text) => `${plot.id}: ${text.textContent}`);
});
const use = async () => {
  const table = document.querySelector("table.sortable");
  const button = table.querySelector("thead th:nth-child(2) button");
  const column = () => [...table.tBodies[0].rows].map((row) => row.cells[1].textContent.trim());
  const orders = [column()];
  const said = [];
  for (let press = 0; press < 3; press += 1) {
    button.click();
    orders.push(column());
    said.push(button.parentElement.ariaSort);
  }
  const plot = document.querySelector(".plot");
  const range = () => [...plot._fullLayout.yaxis.range];
  const zooms = [range()];
  for (const way of ["in", "out", "in", "reset"]) {
    document.querySelector(`[data-zoom=${way}][data-for="${plot.id}"]`).click();
    await new Promise((done) => setTimeout(done, 100));
    zooms.push(range());
  }
  const files = [];
  const made = URL.createObjectURL;
  URL.createObjectURL = (blob) => { files.push(blob); return made(blob); };
  HTMLAnchorElement.prototype.click = function click() { files.push(this.download, this.href.split(":")[0]); };
  document.querySelector("[data-csv]").click();
  const text = await files[0].text();
  document.querySelector("[data-copy]").click();
  await new Promise((done) => setTimeout(done, 100));
  return { orders, said, zooms, file: [text.slice(0, 40), ...files.slice(1)],
           copied: document.querySelector("[data-copy]").textContent };
};
const printed = async () => {
  dispatchEvent(new Event("beforeprint"));
  await new Promise((done) => setTimeout(done, 400));
  const open = [...document.querySelectorAll("details")].every((part) => part.open);
  const widths = [...document.querySelectorAll(".plot")].map((plot) => plot._fullLayout?.width ?? 0);
  const ink = document.querySelector(".plot .xtitle")?.style.fill;
  dispatchEvent(new Event("afterprint"));
  await new Promise((done) => setTimeout(done, 400));
  const closed = [...document.querySelectorAll("details")].every((part) => !part.open);
  return { open, closed, widest: Math.max(...widths), ink };
};
const report = async () => parent.postMessage({
  ...seen,
  name: new URLSearchParams(location.search).get("name"),
  plots: [...document.querySelectorAll(".plot")].filter((plot) => plot.querySelector("svg.main-svg"))
    .map((plot) => plot.id),
  canvases: document.querySelectorAll(".pattern canvas").length,
  images: document.querySelectorAll("img").length,
  width: document.documentElement.scrollWidth,
  window: innerWidth,
  resources: performance.getEntriesByType("resource").map((entry) => entry.name),
  collisions: collisions(),
  outside: outside(),
  ink: document.querySelector(".plot .xtitle")?.style.fill,
  used: document.querySelector("table.sortable") ? await use() : null,
  printed: document.querySelector("details") ? await printed() : null,
}, "*");
const look = async () => {
  await new Promise((done) => setTimeout(done, 1500));
  if (new URLSearchParams(location.search).has("all")) {
    for (const choice of document.querySelectorAll("input[type=radio], [data-series]:not(:checked)")) choice.click();
    for (const panel of document.querySelectorAll(".panel")) panel.hidden = false;
    dispatchEvent(new Event("resize"));
    await new Promise((done) => setTimeout(done, 1500));
  }
  await report();
};
addEventListener("load", look);
</script>"""

FRAMES = """<!doctype html><body>{frames}<pre id="probe"></pre><script>
const found = [];
addEventListener("message", (event) => {{
  found.push(event.data);
  document.getElementById("probe").textContent = JSON.stringify(found);
}});
</script>"""


@dataclass(frozen=True)
class Seen:
    """What the browser found: one report per frame, the console's lines, and the addresses asked for."""

    frames: dict[str, dict[str, Any]]
    console: list[str]
    remote: list[str]


def look(
    folder: Path, pages: dict[str, Path], *, widths: tuple[int, ...], scheme: str = "light", query: str = ""
) -> Seen:
    """Opens pages in frames of these widths, all in one browser, and collects what the probe inside reports."""
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("chromium is not installed; CI must have it")
        pytest.skip("chromium is not installed")
    frames = []
    for name, page in pages.items():
        probed = folder / f"probed-{name}.html"
        probed.write_text(page.read_text(encoding="utf-8").replace("<head>", f"<head>{PROBE}", 1), encoding="utf-8")
        frames += [
            f'<iframe src="{probed.name}?name={name}-{width}&{query}" width="{width}" height="900"></iframe>'
            for width in widths
        ]
    (folder / "frames.html").write_text(FRAMES.format(frames="".join(frames)), encoding="utf-8")
    done = subprocess.run(_command(folder, scheme), capture_output=True, text=True, timeout=240, check=True)
    probe = re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.DOTALL)
    reports = json.loads(html.unescape(probe.group(1))) if probe and probe.group(1) else []
    console = [line for line in done.stderr.splitlines() if ":CONSOLE" in line]
    return Seen({report["name"]: report for report in reports}, console, _asked(folder / "net.json"))


def _command(folder: Path, scheme: str) -> list[str]:
    return [
        str(CHROMIUM),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--no-first-run",
        "--enable-logging=stderr",
        "--log-level=0",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        f"--log-net-log={folder / 'net.json'}",
        f"--user-data-dir={folder / 'profile'}",
        f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}",
        "--window-size=1600,1000",
        "--virtual-time-budget=20000",
        "--dump-dom",
        (folder / "frames.html").as_uri(),
    ]


def _asked(log: Path) -> list[str]:
    """Remote addresses that a page, not the browser itself, asked for; the log has one event a line."""
    events = re.findall(r'^.*"initiator":"(?!not an origin").*$', log.read_text(encoding="utf-8"), re.MULTILINE)
    addresses = [re.search(r'"url":"((https?|wss?):[^"]*)"', event) for event in events]
    return [address.group(1) for address in addresses if address]


LARGE = MadeUp(
    main="capitalize_reverse_with_a_very_long_name_that_goes_on_and_on",
    auxiliaries=("<script>alert(1)</script>", "\"><img src=x onerror=alert(2)>'"),
    controls=("x" * 80,),
    layers=6,
    heads=6,
    matter={(layer, 5 - layer): (0.98, 1.0) for layer in range(6)} | {(0, 0): (0.2, 0.9), (1, 1): (0.22, 0.88)},
)

BAD = "</script><img src=x onerror=alert(3)> 'q\""


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder = tmp_path_factory.mktemp("pages")
    pages = {"transfer": write_page(study_results(MadeUp()), folder / "transfer.html")}
    whole = extras(BAD, main=LARGE.main, auxiliary=LARGE.auxiliaries[0])
    pages["whole"] = write_page(study_results(LARGE), folder / "whole.html", extras=whole)
    pages["seeds"] = write_seeds(seed_findings(LARGE, name=BAD), folder / "seeds.html")
    runs = [run_findings("A", LARGE, name=BAD), run_findings("B", MadeUp(layers=1, heads=1, matter={}), name="ψ")]
    pages["runs"] = write_comparison(runs, folder / "runs.html")
    control = folder / "control.html"
    control.write_text('<head></head><script>console.error("seen")</script><img src="https://example.org/x.png">')
    return look(folder, {**pages, "control": control}, widths=(390, 1440), query="all")


FRAME_NAMES = [f"{name}-{width}" for name in ("transfer", "whole", "seeds", "runs") for width in (390, 1440)]

DRAWN = {"transfer": (8, 6), "whole": (18, 9), "seeds": (18, 0), "runs": (7, 0)}
"""Plots and attention patterns of each page."""


@pytest.mark.slow
def test_the_probe_sees_errors_and_requests(seen: Seen) -> None:
    """The control page logs an error and asks for a remote image: a check that found nothing here would be blind."""
    assert "seen" in seen.frames["control-390"]["errors"]
    assert seen.frames["control-390"]["resources"] == ["https://example.org/x.png"]
    assert set(seen.remote) == {"https://example.org/x.png"}


@pytest.mark.slow
@pytest.mark.parametrize("name", FRAME_NAMES)
def test_page_in_a_browser(seen: Seen, name: str) -> None:
    frame = seen.frames[name]
    assert frame["errors"] == []
    assert frame["resources"] == []
    assert (frame["alerts"], frame["images"]) == (0, 0)
    assert frame["width"] <= frame["window"]
    assert (frame["collisions"], frame["outside"]) == ([], [])
    assert (len(frame["plots"]), frame["canvases"]) == DRAWN[name.rsplit("-", maxsplit=1)[0]]


@pytest.mark.slow
def test_tables_sort_figures_zoom_and_data_can_be_saved(seen: Seen) -> None:
    """The first table is that of accuracies; by its second column they fall, or rise, as Python sorts their numbers."""
    used = seen.frames["transfer-1440"]["used"]
    original, ascending, descending, again = used["orders"]
    shares = [float(text.split()[0]) for text in original]
    assert [float(text.split()[0]) for text in ascending] == sorted(shares)
    assert [float(text.split()[0]) for text in descending] == sorted(shares, reverse=True)
    assert (again, used["said"]) == (original, ["ascending", "descending", "none"])
    whole, inside, back, inside_again, reset = used["zooms"]
    assert inside == pytest.approx([0.5 - 0.53 * 2 / 3, 0.5 + 0.53 * 2 / 3])  # the axis runs from -0.03 to 1.03
    assert back == pytest.approx(whole)
    assert inside_again == pytest.approx(inside)
    assert reset == pytest.approx(whole)
    assert used["file"] == ["condition,weights,task,length,n,accuracy"[:40], "accuracy-by-length.csv", "blob"]
    assert used["copied"] in ("Copied", "Selected")


@pytest.mark.slow
def test_paper_is_light_whole_and_narrow_enough(seen: Seen) -> None:
    """A4 less margins of 15 mm is 680 CSS pixels wide."""
    printed = seen.frames["whole-1440"]["printed"]
    assert (printed["open"], printed["closed"]) == (True, True)
    assert 0 < printed["widest"] <= 680


@pytest.mark.slow
def test_a_dark_page_has_light_figures(tmp_path: Path) -> None:
    page = write_page(study_results(MadeUp()), tmp_path / "dark.html")
    frame = look(tmp_path, {"dark": page}, widths=(800,), scheme="dark").frames["dark-800"]
    assert frame["errors"] == []
    assert frame["ink"] == "rgb(230, 230, 227)"
    assert frame["printed"]["ink"] == "rgb(31, 35, 40)"
