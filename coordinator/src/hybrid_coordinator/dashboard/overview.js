/* The overview: service, savings, learning, context and collections, live over a range. */
import { fill, h } from "./dom.js";
import { ago, shown } from "./format.js";
import { Live } from "./live.js";
import { CollectionsSection, ContextSection } from "./section-context.js";
import { LearningSection } from "./section-learning.js";
import { SavingsSection } from "./section-savings.js";
import { ServiceSection } from "./section-service.js";

const RANGES = { "1h": "1 hour", "24h": "24 hours", "7d": "7 days", "30d": "30 days" };
const KEY = "hybrid-ai.range";

export class Overview {
  constructor(presence) {
    this.presence = presence;
    this.range = remembered();
    this.notice = h("div");
    this.sections = [
      new ServiceSection(),
      new SavingsSection(),
      new LearningSection(),
      new ContextSection(),
      new CollectionsSection(),
    ];
    this.told = h("p", { class: "told" });
    this.body = h("div", { class: "sections", hidden: true }, this.sections.map((s) => s.element));
    this.element = h(
      "div",
      {},
      h("div", { class: "view-head" }, h("h1", { tabindex: "-1" }, "Overview"), this.choice()),
      this.notice,
      this.told,
      this.body,
    );
    this.live = new Live({
      onFigures: (data) => this.show(data),
      onRefused: (error) => this.refused(error),
      onSilence: () => presence.silent(),
      onAnswer: () => presence.heard(),
    });
  }

  choice() {
    const name = "range";
    return h(
      "fieldset",
      { class: "segments" },
      h("legend", { class: "hidden" }, "Time range"),
      Object.entries(RANGES).map(([value, label]) =>
        h(
          "label",
          {},
          h("input", {
            type: "radio",
            name,
            value,
            checked: value === this.range,
            "aria-label": label,
            onchange: () => this.choose(value),
          }),
          h("span", { "aria-hidden": "true" }, value),
        ),
      ),
    );
  }

  choose(range) {
    this.range = range;
    try {
      localStorage.setItem(KEY, range);
    } catch {
      // Then it is asked for anew the next time.
    }
    this.body.setAttribute("aria-busy", "true");
    this.live.start(range);
  }

  enter() {
    fill(this.notice);
    this.live.start(this.range);
  }

  leave() {
    this.live.stop();
    this.presence.still();
  }

  show(data) {
    fill(this.notice, ...troubles(data));
    this.body.hidden = false;
    this.body.removeAttribute("aria-busy");
    for (const section of this.sections) section.show(data);
    fill(this.told, since(data));
    this.presence.live();
  }

  refused(error) {
    if (error.status === 403) {
      this.body.hidden = true;
      fill(
        this.notice,
        h(
          "p",
          { class: "notice" },
          "The figures of everybody together are the operator's. Your own ",
          h("a", { href: "#/interactions" }, "interactions"),
          " and ",
          h("a", { href: "#/patterns" }, "patterns"),
          " are yours to see.",
        ),
      );
      return;
    }
    fill(this.notice, h("p", { class: "notice bad" }, `There are no figures: ${error.message}`));
  }
}

function troubles(data) {
  const found = [];
  if (data.source.trouble) found.push(`There are no figures of the past: ${data.source.trouble}`);
  if (data.service.state === "down") {
    found.push("No question can be answered at present: see which part is down below.");
  }
  return found.map((text) => h("p", { class: "notice bad", role: "status" }, text));
}

function since(data) {
  const { source } = data;
  const parts = [];
  const from = data.generated_at - data.range_s;
  if (source.since !== null && source.since > from + data.bucket_s) {
    parts.push(`Counted for ${ago(data.generated_at - source.since)} so far: before that, nothing was.`);
  }
  if (source.skipped_lines) {
    parts.push(`${source.skipped_lines} lines of telemetry could not be read and were passed over.`);
  }
  return shown(parts.join(" "));
}

function remembered() {
  try {
    const range = localStorage.getItem(KEY);
    return range in RANGES ? range : "24h";
  } catch {
    return "24h";
  }
}
