/* What was learned: outcomes, scores, patterns by status, and the training data. */
import { Chart } from "./charts.js";
import { fill, h, section, tile } from "./dom.js";
import { count, exact, NO_DATA, percent, shown } from "./format.js";

const OUTCOMES = [
  ["success", "Success", "--local"],
  ["partial", "Partial", "--cached"],
  ["failure", "Failure", "--errors"],
  ["unknown", "Unknown", "--quiet"],
];
const STATUSES = [
  ["candidate", "Candidate", "--cached"],
  ["trusted", "Trusted", "--local"],
  ["retired", "Retired", "--quiet"],
];

export class LearningSection {
  constructor() {
    const { element, body } = section("learning", "Learning");
    this.element = element;
    this.tiles = h("dl", { class: "tiles" });
    this.shares = h("div", { class: "columns" });
    const bins = Array.from({ length: 10 }, (_, i) => `${(i / 10).toFixed(1)}–${((i + 1) / 10).toFixed(1)}`);
    this.scores = new Chart({
      key: "scores",
      title: "Value scores",
      bins,
      x: (point) => point.bin,
      series: [{ label: "Interactions", colour: "--cached", value: (p) => p.count }],
    });
    body.append(this.tiles, this.shares, this.scores.element);
  }

  show({ learning, range_s }) {
    const { d1, d7, d30 } = learning.patterns_extracted;
    fill(
      this.tiles,
      tile("Interactions", shown(count(learning.interactions)), "in this range"),
      tile("High value", shown(percent(learning.high_value_share)), `of ${count(learning.scored)} scored`),
      tile("Patterns found", shown(count(d1)), `in 24 h; ${count(d7)} in 7 d, ${count(d30)} in 30 d`),
      tile("Training data", shown(count(learning.dataset_size)), "examples when last written"),
    );
    fill(
      this.shares,
      share("Outcomes", OUTCOMES, learning.outcomes),
      share("Patterns now", STATUSES, learning.patterns),
    );
    const histogram = learning.score_histogram;
    this.scores.show(histogram && histogram.map((n, bin) => ({ bin, count: n })), range_s);
  }
}

/** One bar that is divided, with each part's number below it. */
function share(title, kinds, counts) {
  const values = kinds.map(([key]) => counts?.[key] ?? null);
  const sum = values.reduce((total, value) => total + (value ?? 0), 0);
  const bar = h("div", { class: "divided", "aria-hidden": "true" });
  kinds.forEach(([, , colour], i) => {
    if (!values[i]) return;
    const part = h("span");
    part.style.flexGrow = values[i];
    part.style.background = `var(${colour})`;
    bar.append(part);
  });
  return h(
    "div",
    { class: "share" },
    h("h3", {}, title),
    bar,
    h(
      "ul",
      { class: "legend" },
      kinds.map(([, label, colour], i) => {
        const swatch = h("span", { class: "swatch" });
        swatch.style.background = `var(${colour})`;
        const known = values[i] !== null;
        const part = known && sum ? ` ${percent(values[i] / sum)}` : "";
        return h("li", {}, swatch, `${label} `, h("b", {}, known ? exact(values[i]) : NO_DATA), part);
      }),
    ),
  );
}
