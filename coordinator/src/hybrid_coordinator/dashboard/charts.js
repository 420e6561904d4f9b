/* Charts over time and of counts, each with a legend that reads values and a table of the same. */
import { fill, h, table } from "./dom.js";
import { count, NO_DATA, usd } from "./format.js";

const MISSING =
  "The charts' library is not installed: run “make run” (or requirements/setup.sh) once. " +
  "The tables below show the same figures.";
const HEIGHT = 200;
/** Steps of an axis of counts: there is no half of a query. */
const WHOLE = Array.from({ length: 12 }, (_, power) => [1, 2, 5].map((n) => n * 10 ** power)).flat();
const all = new Set();

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

document.addEventListener("theme", () => all.forEach((chart) => chart.drawAnew()));

const sized = new ResizeObserver((entries) => {
  for (const { target } of entries) target.chart?.fit();
});

/**
 * A chart in a figure. `series`: label, colour (a style variable), value(point), and `stacked`.
 * `write` makes text of a value. `x(point)` is its place: epoch seconds, or with `bins` a number.
 */
export class Chart {
  constructor({ key, title, series, write = count, x = (point) => point.t, bins = null }) {
    Object.assign(this, { key, title, series, write, x, bins, points: [], plot: null });
    this.canvas = h("div", { class: "plot", role: "img", "aria-label": title });
    this.canvas.chart = this;
    this.legend = h("ul", { class: "legend" });
    this.when = h("span", { class: "when" });
    this.tabled = h("details", { "data-key": `table-${key}`, class: "tabled" });
    this.tabled.append(h("summary", {}, "Show as a table"), h("div"));
    this.tabled.addEventListener("toggle", () => this.fillTable());
    this.element = h(
      "figure",
      { class: "chart", "data-chart": key },
      h("figcaption", {}, h("h3", {}, title), this.when),
      this.legend,
      this.canvas,
      this.tabled,
    );
    all.add(this);
    sized.observe(this.canvas);
  }

  /** Shows these points over `range` seconds; none at all is said, not drawn. */
  show(points, range) {
    this.points = points ?? [];
    this.range = range;
    this.columns = this.series.map((one) => this.points.map(one.value));
    const empty = !this.columns.flat().some((value) => value);
    this.canvas.classList.toggle("empty", empty);
    this.canvas.dataset.empty = points === null ? NO_DATA : "nothing in this range";
    this.canvas.setAttribute("aria-label", this.inWords());
    this.fillLegend(null);
    this.fillTable();
    this.draw();
  }

  inWords() {
    const totals = this.series.map((one, i) => `${one.label} ${this.total(i)}`);
    return `${this.title}: ${totals.join(", ")} in all. The table below has every value.`;
  }

  total(index) {
    const values = this.columns?.[index] ?? [];
    if (!values.length || values.some((v) => v === null)) return NO_DATA;
    return this.write(values.reduce((sum, value) => sum + value, 0));
  }

  fillLegend(index) {
    this.when.textContent = index === null ? "" : this.place(index);
    fill(
      this.legend,
      this.series.map((one, i) => {
        const value = index === null ? this.total(i) : this.write(this.columns[i][index]);
        const swatch = h("span", { class: "swatch" });
        swatch.style.background = `var(${one.colour})`;
        return h("li", {}, swatch, `${one.label} `, h("b", {}, value));
      }),
    );
  }

  place(index) {
    if (this.bins) return this.bins[index];
    const date = new Date(this.x(this.points[index]) * 1_000);
    return date.toLocaleString(undefined, {
      month: "short",
      day: "numeric",
      hour: "2-digit",
      minute: "2-digit",
    });
  }

  fillTable() {
    const body = this.tabled.lastElementChild;
    if (!this.tabled.open) {
      body.replaceChildren();
      return;
    }
    const rows = this.points.map((_, i) => [
      this.place(i),
      ...this.columns.map((values) => this.write(values[i])),
    ]);
    if (!this.bins) rows.reverse();
    const head = [this.bins ? "Score" : "From", ...this.series.map((one) => one.label)];
    fill(body, table(`${this.title}, as a table`, head, rows));
  }

  /** The columns as they are drawn: each stacked one on those before it. */
  heights() {
    const x = this.points.map(this.x);
    let below = x.map(() => 0);
    const drawn = this.series.map((one, i) => {
      if (!one.stacked) return this.columns[i];
      below = below.map((height, j) => height + (this.columns[i][j] ?? 0));
      return below;
    });
    return [x, ...drawn.reverse()];
  }

  draw() {
    if (!window.uPlot) {
      fill(this.canvas, h("p", { class: "missing" }, MISSING));
      this.canvas.classList.add("without");
      return;
    }
    const data = this.heights();
    if (this.plot) {
      this.plot.setData(data);
      return;
    }
    if (this.canvas.clientWidth) this.make(data);
  }

  make(data) {
    const bars = window.uPlot.paths.bars({ size: [0.86, 48], radius: 0.1, gap: 0 });
    const line = window.uPlot.paths.linear();
    const series = this.series.map((one) => {
      const stroke = colour(one.colour);
      const area = one.stacked || this.bins;
      return area
        ? { stroke, fill: stroke, width: 0, paths: bars, points: { show: false } }
        : { stroke, fill: `${stroke}22`, width: 2, paths: line, points: { show: false } };
    });
    const text = colour("--muted");
    const axis = {
      stroke: text,
      font: "12px system-ui, sans-serif",
      grid: { stroke: colour("--line"), width: 1 },
      ticks: { show: false },
    };
    this.plot = new window.uPlot(
      {
        width: this.canvas.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
        scales: {
          x: this.bins
            ? { time: false, range: [-0.6, this.bins.length - 0.4] }
            : { time: true, range: (_, first, last) => this.span(first, last) },
          y: { range: (_, low, high) => [0, high > 0 ? high * 1.08 : 1] },
        },
        series: [{}, ...series.reverse()],
        axes: [
          { ...axis, grid: { show: false }, size: 28, space: 64, ...this.xAxis() },
          {
            ...axis,
            incrs: this.write === usd ? undefined : WHOLE,
            size: (_, values) => Math.max(28, ...(values ?? []).map((v) => v.length * 7 + 12)),
            values: (_, splits) => splits.map((value) => this.onAxis(value)),
          },
        ],
        hooks: { setCursor: [(plot) => this.fillLegend(plot.cursor.idx ?? null)] },
      },
      data,
      this.canvas,
    );
  }

  xAxis() {
    if (this.bins) {
      return { splits: () => this.bins.map((_, i) => i), values: () => this.bins.map((b) => b.slice(0, 3)), space: 10 };
    }
    const day = { month: "short", day: "numeric" };
    const hour = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
    return {
      values: (_, splits) =>
        splits.map((split) => {
          const date = new Date(split * 1_000);
          const midnight = date.getHours() === 0 && date.getMinutes() === 0;
          return date.toLocaleString(undefined, midnight ? day : hour);
        }),
    };
  }

  /** Half a bucket more on both sides, so that the outer bars are whole. */
  span(first, last) {
    const half = this.points.length > 1 ? (this.x(this.points[1]) - this.x(this.points[0])) / 2 : 1;
    return [first - half, last + half];
  }

  onAxis(value) {
    return this.write(value).replace(" tokens", "");
  }

  fit() {
    const width = this.canvas.clientWidth;
    if (!width || !this.columns) return;
    if (this.plot) this.plot.setSize({ width, height: HEIGHT });
    else this.draw();
  }

  drawAnew() {
    this.plot?.destroy();
    this.plot = null;
    if (this.columns) this.draw();
  }
}
