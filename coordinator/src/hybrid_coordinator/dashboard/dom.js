/* Makes elements of plain data: text stays text, so nothing that is shown can become markup. */

/** An element: attributes and properties by name, `on…` listeners, children. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children.flat(3)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Replaces what an element holds; which details are open and what has the focus stays. */
export function fill(element, ...children) {
  const open = new Map();
  for (const details of element.querySelectorAll("details[data-key]")) {
    open.set(details.dataset.key, details.open);
  }
  const focused = element.contains(document.activeElement)
    ? document.activeElement.closest("[data-key]")?.dataset.key
    : undefined;
  element.replaceChildren();
  append(element, children);
  for (const details of element.querySelectorAll("details[data-key]")) {
    if (open.has(details.dataset.key)) details.open = open.get(details.dataset.key);
  }
  if (focused !== undefined) {
    const again = element.querySelector(`[data-key="${CSS.escape(focused)}"]`);
    (again?.querySelector("summary, button, a, input") ?? again)?.focus({ preventScroll: true });
  }
}

/** A number that matters: what it is, its value, and a line below it. */
export function tile(label, value, note, extra = {}) {
  return h(
    "div",
    { class: `tile ${extra.class ?? ""}` },
    h("dt", {}, label),
    h("dd", {}, h("span", { class: "value" }, withUnit(value)), note ? h("span", { class: "note" }, note) : null),
  );
}

/** A value whose unit is smaller than its number. */
function withUnit(value) {
  const [, number, unit] = typeof value === "string" ? (value.match(/^(\S*\d\S*) (\S+)$/) ?? []) : [];
  return unit ? [number, h("span", { class: "unit" }, `\u00a0${unit}`)] : value;
}

/** A word with a colour and a sign of its own, so that it is told apart without colours. */
export function badge(kind, text) {
  return h("span", { class: `badge ${kind}` }, text);
}

/** A bar from 0 to 1 that says its value; `mark` is where a target is. */
export function meter(label, share, text, mark) {
  const bar = h("div", {
    class: "meter",
    role: "meter",
    "aria-label": label,
    "aria-valuemin": 0,
    "aria-valuemax": 100,
    "aria-valuenow": share === null ? 0 : Math.round(share * 100),
    "aria-valuetext": text,
  });
  const inner = h("div", { class: "filled" });
  inner.style.inlineSize = `${Math.min(100, Math.max(0, (share ?? 0) * 100))}%`;
  bar.append(inner);
  if (mark !== undefined) {
    const line = h("div", { class: "mark" });
    line.style.insetInlineStart = `${Math.min(100, mark * 100)}%`;
    bar.append(line);
  }
  return bar;
}

/** A section of a view with its heading; what `body` is given comes below it. */
export function section(id, title, note) {
  const body = h("div", { class: "body" });
  const line = h("p", { class: "lead" }, note ?? "");
  const element = h(
    "section",
    { class: "card", "aria-labelledby": `${id}-title`, id },
    h("div", { class: "head" }, h("h2", { id: `${id}-title` }, title), line),
    body,
  );
  return { element, body, line };
}

/** A table whose first column is its rows' heading; it may scroll inside itself. */
export function table(caption, columns, rows) {
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    h(
      "table",
      {},
      h("caption", { class: "hidden" }, caption),
      h("thead", {}, h("tr", {}, columns.map((c) => h("th", { scope: "col" }, c)))),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h("tr", {}, row.map((cell, i) => (i ? h("td", {}, cell) : h("th", { scope: "row" }, cell)))),
        ),
      ),
    ),
  );
}
