"use strict";

// Tables with `data-sortable`: each header's button sorts by its column, up first, then down. A cell's `data-value` is
// a number, or nothing where there is none; cells without it sort as text. What is missing stands last either way.
// Rows stay in their own <tbody>, below its divider.

const key = (row, column) => {
  const cell = row.cells[column];
  if (!("value" in cell.dataset)) return cell.textContent.trim();
  const number = parseFloat(cell.dataset.value);
  return Number.isNaN(number) ? null : number;
};

const compare = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : `${a}`.localeCompare(`${b}`, "en", { numeric: true }));

function sort(table, column, sign) {
  for (const body of table.tBodies) {
    const rows = [...body.rows].filter((row) => !row.classList.contains("divider"));
    const keyed = rows.map((row) => ({ row, key: key(row, column) }));
    keyed.sort((a, b) => {
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null);
      return sign * compare(a.key, b.key);
    });
    body.append(...keyed.map((each) => each.row));
  }
}

for (const table of document.querySelectorAll("table[data-sortable]")) {
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => {
    header.querySelector("button").addEventListener("click", () => {
      const up = header.getAttribute("aria-sort") !== "ascending";
      headers.forEach((each) => each.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", up ? "ascending" : "descending");
      sort(table, column, up ? 1 : -1);
    });
  });
}

// An input with `data-filters`, the id of a table: rows that hold all its words are shown, and counted in the element
// that the table's `data-count` names.

for (const input of document.querySelectorAll("input[data-filters]")) {
  const table = document.getElementById(input.dataset.filters);
  const rows = [...table.tBodies].flatMap((body) => [...body.rows]);
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const count = document.getElementById(table.dataset.count);
  const filter = () => {
    const words = input.value.toLowerCase().split(/\s+/);
    for (const row of rows) row.hidden = !words.every((word) => texts.get(row).includes(word));
    count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  };
  input.addEventListener("input", filter);
  filter();
}

// The theme is the system's until the toggle overrides it; the choice lasts where the browser lets a page remember.

for (const toggle of document.querySelectorAll("[data-theme-toggle]")) {
  const root = document.documentElement;
  const remembered = (act) => {
    try {
      return act(localStorage);
    } catch {
      return null; // no storage for files, or none at all
    }
  };
  const label = () => {
    const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    toggle.value = (root.dataset.theme ?? system) === "dark" ? "light" : "dark";
    toggle.textContent = `Switch to ${toggle.value}`;
  };
  const before = remembered((storage) => storage.getItem("theme"));
  if (before === "light" || before === "dark") root.dataset.theme = before;
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", label);
  toggle.addEventListener("click", () => {
    root.dataset.theme = toggle.value;
    remembered((storage) => storage.setItem("theme", toggle.value));
    label();
  });
  label();
  toggle.hidden = false;
}

// Paper cannot be unfolded.

addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => (each.open = true)));
