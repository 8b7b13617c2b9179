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

from interp.page import write_page
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
const report = () => parent.postMessage({
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
}, "*");
const look = async () => {
  await new Promise((done) => setTimeout(done, 1500));
  if (new URLSearchParams(location.search).has("all")) {
    for (const choice of document.querySelectorAll("input[type=radio], [data-series]:not(:checked)")) choice.click();
    for (const panel of document.querySelectorAll(".panel")) panel.hidden = false;
    dispatchEvent(new Event("resize"));
    await new Promise((done) => setTimeout(done, 1500));
  }
  report();
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


PAGES = {
    "transfer": MadeUp(),
    "large": MadeUp(
        main="capitalize_reverse_with_a_very_long_name_that_goes_on_and_on",
        auxiliaries=("<script>alert(1)</script>", "\"><img src=x onerror=alert(2)>'"),
        controls=("x" * 80,),
        layers=6,
        heads=6,
        matter={(layer, 5 - layer): (0.98, 1.0) for layer in range(6)} | {(0, 0): (0.2, 0.9), (1, 1): (0.22, 0.88)},
    ),
}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder = tmp_path_factory.mktemp("pages")
    pages = {name: write_page(study_results(made_up), folder / f"{name}.html") for name, made_up in PAGES.items()}
    control = folder / "control.html"
    control.write_text('<head></head><script>console.error("seen")</script><img src="https://example.org/x.png">')
    return look(folder, {**pages, "control": control}, widths=(390, 1440), query="all")


FRAME_NAMES = [f"{name}-{width}" for name in PAGES for width in (390, 1440)]


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
    auxiliaries = len(PAGES[name.rsplit("-", maxsplit=1)[0]].auxiliaries)
    assert len(frame["plots"]) == 1 + 3 + 2 + 2 * auxiliaries
    assert frame["canvases"] == 3 * (1 + auxiliaries)


@pytest.mark.slow
def test_a_dark_page_has_light_figures(tmp_path: Path) -> None:
    page = write_page(study_results(MadeUp()), tmp_path / "dark.html")
    frame = look(tmp_path, {"dark": page}, widths=(800,), scheme="dark").frames["dark-800"]
    assert frame["errors"] == []
    assert frame["ink"] == "rgb(230, 230, 227)"
