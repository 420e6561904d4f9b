/* A list that is searched, filtered and read page by page; what is in it the views say. */
import { ask, withQuery } from "./api.js";
import { fill, h } from "./dom.js";

/**
 * `path` is what is asked, `view` the address' part, `filters` fields with name, label and options,
 * `row(item)` an element, `empty` the sentence where nothing is found.
 */
export class Listing {
  constructor({ path, view, title, lead, hint, filters, row, empty, parameters }) {
    Object.assign(this, { path, view, row, empty, filters });
    this.wanted = { query: parameters.get("query") ?? "" };
    for (const one of filters) this.wanted[one.name] = parameters.get(one.name) ?? "";
    this.items = h("ul", { class: "rows" });
    this.said = h("p", { class: "said", role: "status" });
    this.more = h("button", { type: "button", hidden: true, onclick: () => this.load(this.next) }, "Show more");
    this.form = this.makeForm(hint);
    this.element = h(
      "div",
      {},
      h("div", { class: "view-head" }, h("h1", { tabindex: "-1" }, title)),
      h("p", { class: "intro" }, lead),
      this.form,
      this.said,
      this.items,
      this.more,
    );
  }

  makeForm(hint) {
    const id = (name) => `${this.view}-${name}`;
    return h(
      "form",
      { class: "filters card", role: "search", onsubmit: (event) => this.submit(event) },
      h(
        "div",
        { class: "field wide" },
        h("label", { for: id("query") }, "Search"),
        h("input", {
          type: "search",
          id: id("query"),
          name: "query",
          value: this.wanted.query,
          placeholder: hint,
          maxlength: 2000,
          autocomplete: "off",
        }),
      ),
      this.filters.map(({ name, label, options }) =>
        h(
          "div",
          { class: "field" },
          h("label", { for: id(name) }, label),
          h(
            "select",
            { id: id(name), name, onchange: () => this.form.requestSubmit() },
            Object.entries(options).map(([value, text]) =>
              h("option", { value, selected: value === this.wanted[name] }, text),
            ),
          ),
        ),
      ),
      h("button", { type: "submit" }, "Search"),
    );
  }

  enter() {
    this.load(null);
  }

  leave() {
    this.aborted?.abort();
  }

  submit(event) {
    event.preventDefault();
    this.wanted = Object.fromEntries(new FormData(this.form));
    // The address holds the search, so that it can be kept and gone back to.
    history.replaceState(null, "", withQuery(`#/${this.view}`, this.wanted));
    this.load(null);
  }

  async load(before) {
    this.aborted?.abort();
    this.aborted = new AbortController();
    this.items.setAttribute("aria-busy", "true");
    try {
      const page = await ask(withQuery(this.path, { ...this.wanted, limit: 25, before }), {
        signal: this.aborted.signal,
      });
      this.show(page, before !== null);
    } catch (error) {
      if (error.name === "AbortError") return;
      fill(this.said, error.message);
      this.said.classList.add("bad");
    }
    this.items.removeAttribute("aria-busy");
  }

  show(page, further) {
    if (!further) this.items.replaceChildren();
    const first = this.items.childElementCount;
    this.items.append(...page.items.map((item) => this.row(item)));
    this.next = page.next;
    this.more.hidden = page.next === null;
    const nothing = this.items.childElementCount === 0 && !page.trouble;
    fill(this.said, page.trouble || (nothing ? this.empty : ""));
    this.said.classList.toggle("bad", Boolean(page.trouble));
    if (further) this.items.children[first]?.querySelector("a, button, summary")?.focus();
  }
}
