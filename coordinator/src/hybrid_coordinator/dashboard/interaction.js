/* One interaction's whole way: cache, route, context, model, validation, outcome; and the thumbs. */
import { ask } from "./api.js";
import { badge, fill, h } from "./dom.js";
import { count, decimals, exact, milliseconds, NO_DATA, percent, shown, time, usd } from "./format.js";
import { KIND } from "./interactions.js";

export class InteractionView {
  constructor(id) {
    this.id = id;
    this.body = h("div");
    this.said = h("p", { class: "said", role: "status" });
    this.element = h(
      "div",
      { class: "interaction" },
      h("p", { class: "back" }, h("a", { href: "#/interactions" }, "All interactions")),
      h("div", { class: "view-head" }, h("h1", { tabindex: "-1" }, "Interaction")),
      this.said,
      this.body,
    );
  }

  get path() {
    return `/v1/interactions/${encodeURIComponent(this.id)}`;
  }

  async enter() {
    try {
      this.show(await ask(`${this.path}/steps`));
    } catch (error) {
      fill(this.said, error.message);
      this.said.classList.add("bad");
    }
  }

  show({ interaction, events, context }) {
    const { payload } = interaction;
    const of = (type) => events.filter((event) => event.type === type);
    const last = (type) => of(type).at(-1);
    fill(
      this.body,
      h(
        "div",
        { class: "pair" },
        text("Question", payload.query),
        text("Answer", payload.response, payload.truncated ? "cut when it was stored" : ""),
      ),
      this.thumbs(payload),
      h("h2", {}, "The way of this answer"),
      h(
        "ol",
        { class: "way" },
        cacheStep(payload, last("cache_lookup")),
        routeStep(payload, last("routing_decision"), last("interaction")),
        contextStep(payload, last("context_search"), context),
        modelStep(payload, of("inference")),
        validationStep(payload, of("response_rejected"), last("interaction")),
        outcomeStep(payload, last("value_score_computed"), of("outcome")),
      ),
      h(
        "p",
        { class: "told" },
        `${time(payload.timestamp)} · ${this.id} · agent ${payload.agent_type || "generic"}`,
        interaction.delivered ? "" : " · on its way to the knowledge store",
        events.length ? "" : " · its telemetry is not on disk any more, so what only that knew is missing",
      ),
    );
  }

  thumbs(payload) {
    const given = payload.feedback_given ? payload.user_feedback : 0;
    const thumb = (value, label, sign) =>
      h(
        "button",
        {
          type: "button",
          class: "thumb",
          "data-key": `thumb${value}`,
          "aria-pressed": String(given === value),
          onclick: () => this.vote(value),
        },
        h("span", { class: `icon ${sign}`, "aria-hidden": "true" }),
        label,
      );
    return h(
      "div",
      { class: "thumbs", role: "group", "aria-label": "Was this answer helpful?" },
      h("span", {}, "Was this answer helpful?"),
      thumb(1, "Helpful", "up"),
      thumb(-1, "Not helpful", "down"),
    );
  }

  async vote(value) {
    this.said.classList.remove("bad");
    try {
      await ask(`${this.path}/outcome`, {
        method: "POST",
        body: { user_feedback: value, source: "thumbs", replace: true },
      });
      this.show(await ask(`${this.path}/steps`));
      fill(this.said, value > 0 ? "Noted: helpful." : "Noted: not helpful.");
    } catch (error) {
      fill(this.said, error.message);
      this.said.classList.add("bad");
    }
  }
}

function text(title, content, note) {
  return h(
    "section",
    { class: "card text", "aria-label": title },
    h("h2", {}, title),
    h("div", { class: "said-text" }, content || h("span", { class: "nodata" }, "nothing")),
    note ? h("p", { class: "note" }, note) : null,
  );
}

function step(title, main, facts, more) {
  return h(
    "li",
    {},
    h("h3", {}, title),
    h("p", { class: "main" }, main),
    h(
      "dl",
      { class: "pairs" },
      facts
        .filter(([, value]) => value !== undefined && value !== null && value !== "")
        .map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, shown(value)))),
    ),
    more,
  );
}

function cacheStep(payload, event) {
  const words = {
    exact: "Answered from the cache: the same question",
    semantic: "Answered from the cache: a question of the same meaning",
    miss: "Not in the cache",
    bypass: "The cache was not asked",
    off: "The cache is switched off",
    unavailable: "The cache did not answer",
  };
  const status = event?.status ?? payload.cache_status;
  const found = words[status] ?? (status ? `Cache: ${status}` : "Nothing is known of the cache");
  return step("Cache", found, [
    ["Nearest question", event?.similarity === undefined ? null : decimals(event.similarity)],
    ["Why", event?.why],
    ["Took", event ? milliseconds(event.latency_ms) : null],
  ]);
}

function routeStep(payload, event, whole) {
  const route = payload.route || whole?.route;
  return step("Route", route ? (route === "cache" ? "None was needed: the cache had it" : `Sent to ${route}`) : "Nothing is known of the route", [
    ["Reason", event?.reason ?? whole?.reason],
    ["Confidence that a local model suffices", event?.confidence === undefined ? null : percent(event.confidence)],
    ["Needed", event?.threshold === undefined ? null : percent(event.threshold)],
    ["Experiment", payload.experiment],
  ]);
}

function contextStep(payload, event, context) {
  const used = payload.context_provided?.length ?? 0;
  const main = used ? `${used} stored ${used === 1 ? "item was" : "items were"} in the prompt` : "No stored knowledge was in the prompt";
  const list = context.map((item) =>
    h(
      "li",
      {},
      h(
        "details",
        { "data-key": `context-${item.id}` },
        h(
          "summary",
          {},
          item.title || `an item that is gone (${item.id})`,
          " ",
          h(
            "span",
            { class: "note" },
            [
              item.collection,
              item.status && item.status !== "trusted" ? item.status : null,
              `similarity ${decimals(item.similarity)}`,
            ]
              .filter(Boolean)
              .join(" · "),
          ),
        ),
        h("div", { class: "said-text" }, item.text || "Nothing of it can be shown."),
      ),
    ),
  );
  return step(
    "Context",
    main,
    [
      ["Found", event ? exact(event.results_count) : null],
      ["Average similarity", event && event.results_count ? decimals(event.avg_score) : null],
      ["Took", event ? milliseconds(event.latency_ms) : null],
    ],
    list.length ? h("ul", { class: "context" }, list) : null,
  );
}

function modelStep(payload, events) {
  const tries = events.length > 1 ? `${events.length} (${events.map((e) => `${e.backend}: ${e.outcome}`).join(", ")})` : null;
  const first = events.at(-1)?.first_token_ms;
  return step("Model", [payload.model_used || NO_DATA, payload.backend ? ` on ${payload.backend}` : ""].join(""), [
    ["Read", `${count(payload.input_tokens)} tokens`],
    ["Written", `${count(payload.output_tokens)} tokens`],
    ["Cost", usd(payload.cost_usd)],
    ["First word after", first === undefined ? null : milliseconds(first)],
    ["In all", milliseconds(payload.latency_ms)],
    ["Tries", tries],
  ]);
}

function validationStep(payload, rejected, whole) {
  const skipped = Object.entries(whole?.skipped ?? {}).map(([name, why]) => `${name}: ${why}`);
  let main = "The answer was accepted";
  if (payload.rejection) main = `The answer was turned down: ${payload.rejection}`;
  else if (rejected.length) main = `${rejected.length} answer${rejected.length === 1 ? " was" : "s were"} turned down before this one`;
  return step("Validation", main, [
    ["Turned down", rejected.map((e) => `${e.backend}: ${e.rejection}${e.escalated ? ", asked another" : ""}`).join("; ")],
    ["Passed over", skipped.join("; ")],
    ["Answered instead", payload.parent ? h("a", { href: `#/interactions/${payload.parent}` }, payload.parent) : null],
  ]);
}

function outcomeStep(payload, score, told) {
  const parts = Object.entries(payload.value_parts ?? {});
  const who = payload.outcome_source || told.at(-1)?.source;
  const signs = Object.entries(payload.signals ?? {}).map(([name, weight]) => `${name} ${weight > 0 ? "+" : ""}${weight}`);
  return step(
    "Outcome",
    [badge(KIND[payload.outcome] ?? "off", payload.outcome ?? "unknown")],
    [
      ["Said by", who],
      ["Signs", signs.join(", ")],
      ["Value score", payload.scored || score ? decimals(score?.score ?? payload.value_score) : "not scored"],
      ["Patterns", { queued: "looked for soon", done: "found", nothing: "none found", dead: "given up on" }[payload.extraction]],
      ...parts.map(([name, value]) => [name.replaceAll("_", " "), decimals(value)]),
    ],
  );
}
