"use strict";
(() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const narrow = matchMedia("(max-width: 640px)");
  const config = { displayModeBar: false, scrollZoom: false, doubleClick: false, showTips: false };

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
    const colored = dark.matches ? plot.data.map(recolored) : plot.data;
    const traces = colored.map((trace) => ({ ...trace, visible: isShown(trace, ticks) }));
    const patch = { ...(narrow.matches ? plot.narrow : {}), ...(dark.matches ? plot.dark : {}) };
    const layout = patched(plot.layout, patch);
    element.style.minHeight = `${layout.height}px`;
    Plotly.react(element, traces, layout, config);
    widths.observe(element);
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
  drawAll();
})();
