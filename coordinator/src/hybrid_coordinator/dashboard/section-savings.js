/* What was saved and what was promised: targets with the actual value beside them, and how it is computed. */
import { Chart } from "./charts.js";
import { badge, fill, h, meter, section, table, tile } from "./dom.js";
import { count, NO_DATA, points, shown, tokens, usd } from "./format.js";

export class SavingsSection {
  constructor() {
    const { element, body, line } = section("savings", "Savings");
    Object.assign(this, { element, line });
    this.tiles = h("dl", { class: "tiles" });
    this.targets = h("ul", { class: "targets" });
    this.more = h("div", { class: "columns" });
    this.formula = h("div");
    this.money = new Chart({
      key: "money",
      title: "Money",
      write: usd,
      series: [
        { label: "Saved", colour: "--local", value: (p) => p.cost_saved_usd },
        { label: "Paid", colour: "--remote", value: (p) => p.cost_usd },
      ],
    });
    this.tokens = new Chart({
      key: "tokens",
      title: "Tokens",
      write: tokens,
      series: [
        { label: "Read", colour: "--cached", stacked: true, value: (p) => p.tokens_in },
        { label: "Written", colour: "--remote", stacked: true, value: (p) => p.tokens_out },
      ],
    });
    body.append(
      this.tiles,
      h("h3", {}, "Targets"),
      this.targets,
      h("div", { class: "columns" }, this.money.element, this.tokens.element),
      this.more,
      this.formula,
    );
  }

  show(data) {
    const { savings } = data;
    const { by_cache, by_local_models, by_context } = savings;
    fill(
      this.tiles,
      tile("Saved", shown(usd(savings.cost_saved_usd)), "against the declared baseline"),
      tile("Paid", shown(usd(savings.cost_usd)), "to remote models"),
      tile("Tokens saved", shown(count(savings.tokens_saved)), "not sent or not written again"),
      tile("A local query", shown(tokens(savings.avg_tokens_local)), "on average"),
      tile("A remote query", shown(tokens(savings.avg_tokens_remote)), "on average"),
    );
    fill(this.targets, savings.targets.map(target));
    this.money.show(data.series, data.range_s);
    this.tokens.show(data.series, data.range_s);
    const kinds = [
      ["By cached answers", by_cache],
      ["By local models", by_local_models],
      ["By stored context", by_context],
    ];
    const routes = Object.entries(savings.routes);
    fill(
      this.more,
      h(
        "div",
        {},
        h("h3", {}, "Where it comes from"),
        table(
          "Savings by where they come from",
          ["Saving", "Tokens", "Money"],
          kinds.map(([name, saved]) => [name, shown(count(saved.tokens)), shown(usd(saved.usd))]),
        ),
      ),
      h(
        "div",
        {},
        h("h3", {}, "By route"),
        routes.length
          ? table(
              "Queries, tokens and money by route",
              ["Route", "Queries", "Read", "Written", "Paid"],
              routes.map(([name, route]) => [
                name,
                count(route.queries),
                count(route.tokens_in),
                count(route.tokens_out),
                usd(route.cost_usd),
              ]),
            )
          : h("p", { class: "nodata" }, NO_DATA),
      ),
    );
    fill(
      this.formula,
      h(
        "details",
        { "data-key": "formula" },
        h("summary", {}, "How this is computed"),
        h("ul", { class: "prose" }, savings.formula.map((text) => h("li", {}, text))),
      ),
    );
  }
}

function target({ title, target: goal, text, actual, met }) {
  const word = met === null ? NO_DATA : met ? "met" : "not met";
  const kind = met === null ? "off" : met ? "ready" : "down";
  const value = points(actual);
  return h(
    "li",
    {},
    h("div", { class: "target-head" }, h("span", {}, title), badge(kind, word)),
    h("p", { class: "actual" }, h("span", { class: "value" }, shown(value)), ` target ${text}`),
    meter(title, actual === null ? null : actual / 100, `${value}; target ${text}: ${word}`, goal / 100),
  );
}
