"use strict";
// Draws the figures: in the reader's colours, at the width there is, with the series that are ticked.
(() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 640px)");
  const mouse = matchMedia("(pointer: fine)"); // a finger that drags wants to scroll
  const PAPER = 660; // CSS pixels that fit between the margins of A4 and of letter
  const config = { displayModeBar: false, scrollZoom: false, doubleClick: "reset", showTips: false };
  let onPaper = false;

  // Sets attributes of a copy of the layout, each by its dotted path.
  const patched = (layout, patch) => {
    const copy = structuredClone(layout);
    for (const [path, value] of Object.entries(patch)) {
      const keys = path.split(".");
      const last = keys.pop();
      let place = copy;
      for (const key of keys) place = place[key] ??= {};
      place[last] = value;
    }
    return copy;
  };

  // A line's colours, lighter on a dark page.
  const recolored = (trace) => {
    const copy = { ...trace };
    for (const part of ["line", "marker", "error_x", "error_y"]) {
      const color = data.onDark[trace[part]?.color];
      if (color) copy[part] = { ...trace[part], color };
    }
    if (trace.meta?.darkText) copy.textfont = { ...trace.textfont, color: trace.meta.darkText };
    return copy;
  };

  const boxes = (id) => [...document.querySelectorAll("input[data-plot]")].filter((box) => box.dataset.plot === id);

  const isShown = (trace, ticks) => {
    const raw = ticks.find((box) => "raw" in box.dataset);
    if (trace.meta?.weights === "raw" && raw && !raw.checked) return false;
    const series = ticks.find((box) => box.dataset.series === trace.meta?.series);
    return !series || series.checked;
  };

  const widths = new ResizeObserver((entries) => {
    for (const { target, contentRect } of entries) {
      if (onPaper) continue;
      if (contentRect.width && target._fullLayout && target._fullLayout.width !== Math.round(contentRect.width)) {
        Plotly.Plots.resize(target);
      }
    }
  });

  const drawPlot = (id) => {
    const element = document.getElementById(id);
    if (element.closest("[hidden]")) return;
    const plot = data.plots[id];
    const ticks = boxes(id);
    const inDark = dark.matches && !onPaper;
    const colored = inDark ? plot.data.map(recolored) : plot.data;
    const traces = colored.map((trace) => ({ ...trace, visible: isShown(trace, ticks) }));
    const patch = { ...(narrow.matches && !onPaper ? plot.narrow : {}), ...(inDark ? plot.dark : {}) };
    const layout = patched(plot.layout, patch);
    layout.dragmode = mouse.matches ? "zoom" : false;
    if (onPaper) layout.width = Math.min(PAPER, element.clientWidth || PAPER);
    element.style.minHeight = `${layout.height}px`;
    Plotly.react(element, traces, layout, config);
    widths.observe(element);
  };

  const axesOf = (element) => Object.keys(element._fullLayout).filter((name) => /^[xy]axis\d*$/.test(name));

  // In and out by two thirds about the middle of every axis; a reset is the figure drawn anew.
  const zoom = (id, way) => {
    if (way === "reset") {
      Plotly.purge(id);
      drawPlot(id);
      return;
    }
    const element = document.getElementById(id);
    const change = {};
    for (const name of axesOf(element)) {
      const [low, high] = element._fullLayout[name].range.map(Number);
      const [middle, half] = [(low + high) / 2, ((high - low) / 2) * (way === "in" ? 2 / 3 : 3 / 2)];
      change[`${name}.range`] = [middle - half, middle + half];
    }
    Plotly.relayout(element, change);
  };

  const drawn = new Set();
  const drawPattern = (id) => {
    const element = document.getElementById(id);
    if (drawn.has(id) || element.closest("[hidden]")) return;
    drawn.add(id);
    const properties = data.patterns[id];
    if (properties) CircuitsVis.render(id, CircuitsVis.AttentionPattern, properties);
    else element.textContent = "Not defined: a weight is not a number.";
  };

  const drawIn = (part) => {
    for (const { id } of part.querySelectorAll(".plot")) drawPlot(id);
    for (const { id } of part.querySelectorAll(".pattern")) drawPattern(id);
  };
  const drawAll = () => drawIn(document);

  const paper = (printing) => {
    onPaper = printing;
    for (const { id } of document.querySelectorAll(".plot")) {
      if (!document.getElementById(id).closest("[hidden]")) Plotly.purge(id);
    }
    drawAll();
  };

  document.addEventListener("change", ({ target }) => {
    if (target.dataset.plot) drawPlot(target.dataset.plot);
    if (target.type !== "radio") return;
    for (const other of document.getElementsByName(target.name)) {
      document.getElementById(other.value).hidden = !other.checked;
    }
    drawIn(document.getElementById(target.value));
  });
  dark.addEventListener("change", drawAll);
  narrow.addEventListener("change", drawAll);
  globalThis.reportPlots = { zoom, paper };
  drawAll();
})();
