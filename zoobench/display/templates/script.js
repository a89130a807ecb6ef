"use strict";

// Tables with `data-sortable`: each header's button sorts by its column, up first, or as the header's `data-first` says,
// then the other way. A cell's `data-value` is a number, or nothing where there is none; cells without it sort as text.
// What is missing stands last either way, and equals as they stood at first. Rows stay in their own <tbody>, below its
// divider. Who sorts is told by an event, `sorted`, at the table.

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
    rows.forEach((row, place) => (row.dataset.place ??= place));
    const keyed = rows.map((row) => ({ row, key: key(row, column), place: Number(row.dataset.place) }));
    keyed.sort((a, b) => {
      if (a.key === null || b.key === null) return (a.key === null) - (b.key === null) || a.place - b.place;
      return sign * compare(a.key, b.key) || a.place - b.place;
    });
    body.append(...keyed.map((each) => each.row));
  }
}

function sortBy(table, header, up) {
  for (const each of header.parentElement.cells) each.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", up ? "ascending" : "descending");
  sort(table, header.cellIndex, up ? 1 : -1);
}

for (const button of document.querySelectorAll("table[data-sortable] thead button")) {
  const header = button.parentElement;
  const table = header.closest("table");
  const first = header.dataset.first ?? "ascending";
  button.addEventListener("click", () => {
    const now = header.getAttribute("aria-sort");
    sortBy(table, header, now === null ? first === "ascending" : now === "descending");
    table.dispatchEvent(new Event("sorted"));
  });
}

// An input with `data-filters`, the id of a table: rows that hold all its words are shown, and counted in the element
// that the table's `data-count` names.

const holds = (text, words) => words.toLowerCase().split(/\s+/).every((word) => text.includes(word));

function showOnly(table, keep) {
  const rows = [...table.tBodies].flatMap((body) => [...body.rows]);
  for (const row of rows) row.hidden = !keep(row);
  const shown = rows.filter((row) => !row.hidden).length;
  document.getElementById(table.dataset.count).textContent = `${shown} of ${rows.length} ${table.dataset.unit ?? "rows"}`;
}

for (const input of document.querySelectorAll("input[data-filters]")) {
  const table = document.getElementById(input.dataset.filters);
  const texts = new Map([...table.querySelectorAll("tbody tr")].map((row) => [row, row.textContent.toLowerCase()]));
  const filter = () => showOnly(table, (row) => holds(texts.get(row), input.value));
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
