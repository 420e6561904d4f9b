/* The list of patterns: what was learned, from where, and how it does; retire and restore. */
import { ask } from "./api.js";
import { badge, fill, h } from "./dom.js";
import { count, decimals, percent, plural, time } from "./format.js";
import { Listing } from "./listing.js";

const KIND = { candidate: "degraded", trusted: "ready", retired: "off" };
const SHOWN_SOURCES = 12;

export class Patterns extends Listing {
  constructor(parameters) {
    super({
      parameters,
      view: "patterns",
      path: "/v1/patterns",
      title: "Patterns",
      lead: "What was learned from answers that turned out well. A candidate is used with care, a trusted one was confirmed, a retired one is in no prompt.",
      hint: "What it is about",
      empty: "Nothing was learned yet that fits.",
      filters: [
        {
          name: "status",
          label: "Status",
          options: { "": "Any status", candidate: "Candidate", trusted: "Trusted", retired: "Retired" },
        },
        {
          name: "collection",
          label: "Collection",
          options: {
            "": "All collections",
            "skills-patterns": "Skills",
            "error-solutions": "Error solutions",
            "best-practices": "Best practices",
            "codebase-context": "Code",
          },
        },
      ],
      row: (item) => new Pattern(item).element,
    });
  }
}

class Pattern {
  constructor(item) {
    this.item = item;
    this.said = h("p", { class: "said", role: "status" });
    this.side = h("div", { class: "row-side" });
    this.element = h(
      "li",
      { class: "card row pattern", "aria-label": item.title },
      h(
        "div",
        { class: "row-main" },
        h("h2", { class: "row-title" }, item.title),
        h("ul", { class: "facts" }, facts(item).map((fact) => h("li", {}, fact))),
        h(
          "details",
          {},
          h("summary", {}, "What it says, and where it comes from"),
          h("div", { class: "said-text" }, item.text),
          sources(item),
        ),
        this.said,
      ),
      this.side,
    );
    this.showStatus();
  }

  showStatus() {
    const { status, may_change: may } = this.item;
    const button = (to, label) =>
      h(
        "button",
        { type: "button", class: "quiet", "data-key": to, "aria-label": `${label}: ${this.item.title}`, onclick: () => this.change(to) },
        label,
      );
    fill(
      this.side,
      badge(KIND[status], status),
      may && status !== "retired" ? button("retired", "Retire") : null,
      may && status === "retired" ? button("candidate", "Restore") : null,
      may && status !== "trusted" ? button("trusted", status === "retired" ? "Restore as trusted" : "Trust") : null,
    );
  }

  async change(status) {
    const { collection, id } = this.item;
    this.said.classList.remove("bad");
    try {
      const changed = await ask(`/v1/patterns/${collection}/${id}/status`, { method: "POST", body: { status } });
      this.item = { ...this.item, status: changed.status };
      this.showStatus();
      const words = { retired: "Retired: it is in no prompt any more.", candidate: "Restored as a candidate.", trusted: "Trusted from now on." };
      fill(this.said, words[changed.status]);
      this.side.querySelector("button")?.focus();
    } catch (error) {
      fill(this.said, error.message);
      this.said.classList.add("bad");
    }
  }
}

function facts(item) {
  const rate = item.success_rate === null ? "no outcome told" : `${percent(item.success_rate)} success of ${count(item.outcomes)} told`;
  return [
    item.collection,
    time(item.created),
    `in ${plural(item.uses, "prompt")}`,
    rate,
    item.shared ? "shared by all" : null,
    item.learned ? null : "written by a person",
    item.similarity === null ? null : `similarity ${decimals(item.similarity)}`,
  ].filter(Boolean);
}

function sources({ source_interactions: ids, learned }) {
  if (!ids.length) {
    return h("p", { class: "note" }, learned ? "The interactions it came from are forgotten." : "It came from no interaction.");
  }
  const rest = ids.length - SHOWN_SOURCES;
  return h(
    "div",
    { class: "sources" },
    h("h3", {}, `Learned from ${plural(ids.length, "interaction")}`),
    h(
      "ul",
      {},
      ids.slice(0, SHOWN_SOURCES).map((id) =>
        h("li", {}, h("a", { href: `#/interactions/${encodeURIComponent(id)}` }, id)),
      ),
      rest > 0 ? h("li", {}, `and ${rest} more`) : null,
    ),
  );
}
