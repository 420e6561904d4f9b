/* How well stored knowledge is found and helps, and what the collections hold. */
import { fill, h, meter, section, table, tile } from "./dom.js";
import { count, exact, milliseconds, NO_DATA, percent, shown, signed } from "./format.js";

export class ContextSection {
  constructor() {
    const { element, body } = section("context", "Context");
    this.element = element;
    this.tiles = h("dl", { class: "tiles" });
    this.success = h("div");
    body.append(this.tiles, this.success);
  }

  show({ context }) {
    const { p50, p95, p99 } = context.latency_ms;
    fill(
      this.tiles,
      tile("Searches", shown(count(context.searches)), "in this range"),
      tile("Found something", shown(percent(context.hit_rate)), "of the searches"),
      tile("Half within", shown(milliseconds(p50)), "latency, p50"),
      tile("95 % within", shown(milliseconds(p95)), "latency, p95"),
      tile("99 % within", shown(milliseconds(p99)), "latency, p99"),
    );
    const rates = Object.entries(context.success_by_collection);
    fill(
      this.success,
      h("h3", {}, "Success with context, by collection"),
      rates.length
        ? h(
            "ul",
            { class: "bars" },
            rates.map(([name, rate]) =>
              h(
                "li",
                {},
                h("span", { class: "bar-name" }, name),
                meter(name, rate, percent(rate)),
                h("span", { class: "bar-value" }, shown(percent(rate))),
              ),
            ),
          )
        : h("p", { class: "nodata" }, NO_DATA),
    );
  }
}

export class CollectionsSection {
  constructor() {
    const { element, body } = section("collections", "Collections");
    Object.assign(this, { element, body });
  }

  show({ collections }) {
    if (!collections.length) {
      fill(this.body, h("p", { class: "nodata" }, NO_DATA));
      return;
    }
    // Nearly always every point has its vector: then a second column says nothing.
    const differ = collections.some((one) => one.points !== one.vectors);
    fill(
      this.body,
      table(
        "Points of each collection",
        ["Collection", "Points", ...(differ ? ["Vectors"] : []), "Success", "24 h", "7 d"],
        collections.map((one) => [
          one.name,
          shown(exact(one.points)),
          ...(differ ? [shown(exact(one.vectors))] : []),
          shown(percent(one.success_rate)),
          shown(signed(one.growth_24h)),
          shown(signed(one.growth_7d)),
        ]),
      ),
    );
  }
}
