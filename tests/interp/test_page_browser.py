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
  const boxes = texts.map((text) => [text.textContent, text.getBoundingClientRect()]).filter(([, box]) => visible(box));
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
  plots: [...document.querySelectorAll(".plot")].filter((plot) => plot.querySelector("svg.main-svg")).map((plot) => plot.id),
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
    for (const choice of document.querySelectorAll("input[type=radio], input[data-series]:not(:checked)")) choice.click();
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
    """Remote addresses that a page (not the browser itself) asked for."""
    text = log.read_text(encoding="utf-8")
    events = json.loads(text)["events"]
    starts = [event.get("params", {}) for event in events if "url" in event.get("params", {})]
    return [start["url"] for start in starts if re.match("(https?|wss?):", start["url"]) and _from_page(start)]


def _from_page(start: dict[str, Any]) -> bool:
    return start.get("initiator", "not an origin") != "not an origin"
