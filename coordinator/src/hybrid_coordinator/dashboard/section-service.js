/* How the service is: its state, what is under way, each part by name, and queries over time. */
import { Chart } from "./charts.js";
import { badge, fill, h, section, tile } from "./dom.js";
import { count, NO_DATA, shown } from "./format.js";

const WORDS = { ready: "ready", degraded: "degraded", down: "down", off: "off" };
const LEAD = {
  ready: "Every part is well.",
  degraded: "Questions are answered; not every part is well.",
  down: "No question can be answered.",
};
const ORDER = ["down", "degraded", "ready", "off"];

export class ServiceSection {
  constructor() {
    const { element, body, line } = section("service", "Service");
    Object.assign(this, { element, line });
    this.tiles = h("dl", { class: "tiles" });
    this.parts = h("div");
    this.chart = new Chart({
      key: "queries",
      title: "Queries",
      series: [
        { label: "Local", colour: "--local", stacked: true, value: (p) => p.local },
        { label: "Remote", colour: "--remote", stacked: true, value: (p) => p.remote },
        { label: "Cached", colour: "--cached", stacked: true, value: (p) => p.cached },
        { label: "Errors", colour: "--errors", stacked: true, value: (p) => p.errors },
      ],
    });
    body.append(this.tiles, this.chart.element, this.parts);
  }

  show(data) {
    const { service, savings } = data;
    fill(this.line, badge(service.state, WORDS[service.state]), " ", LEAD[service.state]);
    const { waiting, dead } = service.extraction_queue;
    fill(
      this.tiles,
      tile("Being answered", shown(count(service.active_interactions)), "requests now"),
      tile("Queries", shown(count(savings.total_queries)), "answered in this range"),
      tile(
        "Failed",
        shown(count(savings.errors)),
        "requests in this range",
        { class: savings.errors ? "warn" : "" },
      ),
      tile(
        "To be learned from",
        shown(count(waiting)),
        dead === null ? NO_DATA : dead ? `${count(dead)} given up on` : "none given up on",
        { class: dead ? "warn" : "" },
      ),
      tile("Outbox", shown(count(service.outbox_depth)), "waiting for the store"),
    );
    this.chart.show(data.series, data.range_s);
    const parts = Object.entries(service.parts).sort(
      ([a, x], [b, y]) => ORDER.indexOf(x.state) - ORDER.indexOf(y.state) || a.localeCompare(b),
    );
    const unwell = parts.filter(([, part]) => part.state === "down" || part.state === "degraded");
    const others = parts.filter(([, part]) => part.state === "ready" || part.state === "off");
    fill(
      this.parts,
      unwell.length ? h("h3", {}, "Not well") : null,
      unwell.length ? list(unwell) : null,
      others.length
        ? h(
            "details",
            { "data-key": "parts", open: unwell.length === 0 },
            h("summary", {}, `${unwell.length ? "The other" : "All"} ${others.length} parts`),
            list(others),
          )
        : null,
    );
  }
}

function list(parts) {
  return h(
    "ul",
    { class: "parts" },
    parts.map(([name, part]) =>
      h(
        "li",
        {},
        badge(part.state, WORDS[part.state] ?? part.state),
        h("span", { class: "part" }, h("b", {}, name.replace(".", " · ")), " ", part.detail),
      ),
    ),
  );
}
