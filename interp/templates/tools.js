"use strict";
// What readers do with tables and figures: sort, zoom, save the data, copy the command, print.
(() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const plots = globalThis.reportPlots;
  document.documentElement.classList.add("js");

  // Numbers as the tables write them: "−0.120 ± 0.004", "92.4 %", "1,024"; NaN for text and for names such as "1.10".
  const numberIn = (text) => Number.parseFloat(text.replaceAll("−", "-").replaceAll(",", ""));
  const byText = new Intl.Collator("en", { numeric: true }).compare;

  const compare = (one, other, column) => {
    if (column === 0) return byText(one, other);
    const [first, second] = [numberIn(one), numberIn(other)];
    if (Number.isNaN(first) && Number.isNaN(second)) return byText(one, other);
    return first - second;
  };

  const textOf = (row, column) => row.cells[column].textContent.trim();

  // Cells without a number stay at the end, whichever way the others go.
  const sorted = (rows, column, order) => {
    const numeric = column > 0 && rows.some((row) => !Number.isNaN(numberIn(textOf(row, column))));
    const lacks = (row) => numeric && Number.isNaN(numberIn(textOf(row, column)));
    const sign = order === "descending" ? -1 : 1;
    return [...rows].sort(
      (one, other) =>
        lacks(one) - lacks(other) || sign * compare(textOf(one, column), textOf(other, column), column),
    );
  };

  const NEXT = { none: "ascending", ascending: "descending", descending: "none" };

  const makeSortable = (table) => {
    const body = table.tBodies[0];
    const original = [...body.rows];
    const headers = [...table.tHead.rows[0].cells];
    headers.forEach((header, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...header.childNodes);
      header.append(button);
      header.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const order = NEXT[header.getAttribute("aria-sort")];
        for (const other of headers) other.setAttribute("aria-sort", other === header ? order : "none");
        body.append(...(order === "none" ? original : sorted(original, column, order)));
      });
    });
  };
  for (const table of document.querySelectorAll("table.sortable")) makeSortable(table);

  const save = (name) => {
    const address = URL.createObjectURL(new Blob([data.files[name]], { type: "text/csv;charset=utf-8" }));
    const link = Object.assign(document.createElement("a"), { href: address, download: `${name}.csv` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  };

  const select = (node) => {
    const range = document.createRange();
    range.selectNodeContents(node);
    const selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
  };

  // Opened from a disk, a page may have no clipboard of its own: then the old way, and at the least a selection.
  const copy = async (button) => {
    const code = button.parentElement.querySelector("code");
    let done = false;
    try {
      await navigator.clipboard.writeText(code.textContent);
      done = true;
    } catch {
      select(code);
      done = document.execCommand("copy");
    }
    button.textContent = done ? "Copied" : "Selected";
    setTimeout(() => { button.textContent = "Copy"; }, 1600);
  };

  document.addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (!button) return;
    if (button.dataset.zoom) plots.zoom(button.dataset.for, button.dataset.zoom);
    if (button.dataset.csv) save(button.dataset.csv);
    if ("copy" in button.dataset) copy(button);
  });

  // Paper has no scroll bars and no dark: everything opens, and figures are drawn anew, as wide as a page.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const part of opened) part.open = true;
    plots.paper(true);
  });
  addEventListener("afterprint", () => {
    for (const part of opened) part.open = false;
    plots.paper(false);
  });
})();
