
// The table of a track: what it shows stands in the address, so that a link, or the way back, shows the same.

for (const board of document.querySelectorAll("table.board")) {
  const at = (id) => document.getElementById(id);
  const [words, metric, baselines] = [at("words"), at("metric"), at("baselines")];
  const limits = [...document.querySelectorAll("[data-limits]")]; // each by the column of its name, to its value at most
  const headers = [...board.tHead.rows[0].cells];
  const visible = (key) => headers.find((header) => header.dataset.key === key && !header.hidden);
  const sorted = () => headers.find((header) => header.hasAttribute("aria-sort"));
  const isUp = (header) => header.getAttribute("aria-sort") === "ascending";

  const showMetric = () => {
    for (const cell of board.querySelectorAll("[data-metric]")) cell.hidden = cell.dataset.metric !== metric.value;
    const before = sorted();
    if (before.hidden) sortBy(board, visible(before.dataset.key), isUp(before));
  };
  const isWithin = (row) => (limit) => {
    const told = row.cells[visible(limit.id).cellIndex].dataset.value;
    return limit.value === "" || parseFloat(told) <= Number(limit.value); // what is not told is within no limit
  };
  const showRows = () =>
    showOnly(board, (row) => (baselines.checked || !("baseline" in row.dataset)) && holds(row.dataset.text, words.value) && limits.every(isWithin(row)));

  const write = () => {
    const state = new URLSearchParams();
    if (metric.value !== metric.options[0].value) state.set("metric", metric.value);
    const header = sorted();
    const order = header.getAttribute("aria-sort");
    if (header.dataset.key !== "rank" || order !== "ascending") {
      state.set("sort", header.dataset.key);
      state.set("order", order);
    }
    if (words.value) state.set("filter", words.value);
    if (!baselines.checked) state.set("baselines", "no");
    for (const limit of limits) if (limit.value) state.set(limit.id, limit.value);
    const query = `${state}`;
    try {
      history.replaceState(null, "", `${location.pathname}${query && "?"}${query}${location.hash}`);
    } catch {
      // some browsers let a page do so only so often
    }
  };
  const read = () => {
    const state = new URLSearchParams(location.search);
    const known = [...metric.options].map((option) => option.value);
    metric.value = known.includes(state.get("metric")) ? state.get("metric") : known[0];
    words.value = state.get("filter") ?? "";
    baselines.checked = state.get("baselines") !== "no";
    for (const limit of limits) {
      limit.value = state.get(limit.id) ?? "";
      if (limit.selectedIndex < 0) limit.value = ""; // not one of its options
    }
    showMetric();
    const header = visible(state.get("sort")) ?? visible("rank");
    const order = ["ascending", "descending"].find((each) => each === state.get("order"));
    sortBy(board, header, (order ?? header.dataset.first) === "ascending");
    showRows();
  };

  words.addEventListener("input", () => (showRows(), write()));
  for (const each of [baselines, ...limits]) each.addEventListener("input", () => (showRows(), write()));
  metric.addEventListener("change", () => (showMetric(), write()));
  board.addEventListener("sorted", write);
  addEventListener("popstate", read);
  at("controls").hidden = false;
  read();
}

// A button with `data-copies` copies the text of the element it names, or else the page's address, and says so.

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = document.createElement("textarea"); // where a page may not use the clipboard: from a plain http host
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    if (!done) throw new Error("the browser does not let this page copy");
  }
}

for (const button of document.querySelectorAll("[data-copies]")) {
  const told = button.parentElement.querySelector(".done");
  button.hidden = false;
  button.addEventListener("click", async () => {
    const named = document.getElementById(button.dataset.copies);
    try {
      await copy(named ? named.textContent : location.href);
      told.textContent = "Copied";
    } catch {
      told.textContent = "Not copied: your browser forbids it";
    }
    setTimeout(() => (told.textContent = ""), 4000);
    button.focus();
  });
}
