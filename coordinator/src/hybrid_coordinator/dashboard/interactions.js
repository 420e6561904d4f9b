/* The list of interactions. One interaction's way is in interaction.js. */
import { badge, h } from "./dom.js";
import { count, decimals, milliseconds, time, usd } from "./format.js";
import { Listing } from "./listing.js";

export const KIND = { success: "ready", partial: "degraded", failure: "down", unknown: "off" };

export class Interactions extends Listing {
  constructor(parameters) {
    super({
      parameters,
      view: "interactions",
      path: "/v1/interactions",
      title: "Interactions",
      lead: "What was asked, where the answer came from, and how it turned out. Newest first; a search lists the nearest first.",
      hint: "A question, some words, or an id",
      empty: "Nothing is here that fits.",
      filters: [
        {
          name: "outcome",
          label: "Outcome",
          options: {
            "": "Any outcome",
            success: "Success",
            partial: "Partial",
            failure: "Failure",
            unknown: "Unknown",
          },
        },
        {
          name: "route",
          label: "Route",
          options: { "": "Any route", local: "Local", remote: "Remote", cache: "Cache" },
        },
      ],
      row,
    });
  }
}

function row(item) {
  const facts = [
    time(item.timestamp),
    item.route === "cache" ? `from the cache (${item.cache})` : item.route || item.model,
    `${count(item.tokens)} tokens`,
    item.cost_usd ? usd(item.cost_usd) : null,
    milliseconds(item.latency_ms),
    item.value_score === null ? null : `score ${decimals(item.value_score)}`,
    item.similarity === null ? null : `similarity ${decimals(item.similarity)}`,
  ];
  return h(
    "li",
    { class: "card row" },
    h(
      "div",
      { class: "row-main" },
      h("a", { class: "row-title", href: `#/interactions/${encodeURIComponent(item.id)}` }, item.query),
      h("ul", { class: "facts" }, facts.filter(Boolean).map((fact) => h("li", {}, fact))),
    ),
    h(
      "div",
      { class: "row-side" },
      badge(KIND[item.outcome] ?? "off", item.outcome),
      item.user_feedback ? badge("plain", item.user_feedback > 0 ? "helpful" : "not helpful") : null,
      item.delivered ? null : badge("degraded", "on its way"),
    ),
  );
}
