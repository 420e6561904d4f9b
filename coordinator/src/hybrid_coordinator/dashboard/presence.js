/* Whether the coordinator is heard, said at the top: live, or since when it is away. */
import { fill, h } from "./dom.js";
import { ago, timeOfDay } from "./format.js";

const ASK = 15_000;

export class Presence {
  constructor(away, live) {
    this.away = away;
    this.chip = live;
    this.since = null;
    this.last = Date.now();
    this.isLive = false;
    setInterval(() => this.tick(), 1_000);
    // Without a stream nobody would notice: then it is asked now and then.
    setInterval(() => this.ask(), ASK);
  }

  /** Something was answered. */
  heard() {
    this.last = Date.now();
    if (this.since !== null) {
      this.since = null;
      fill(this.away);
    }
    this.tick();
  }

  /** A stream of figures runs. */
  live() {
    this.isLive = true;
    this.heard();
  }

  still() {
    this.isLive = false;
    this.tick();
  }

  /** Nothing was answered: it is away since the last time that something was. */
  silent() {
    if (this.since !== null) return;
    this.since = this.last;
    this.for = h("span");
    fill(
      this.away,
      h(
        "p",
        { class: "banner" },
        `The coordinator has not answered since ${timeOfDay(new Date(this.since))} (`,
        // The clock goes on for the eye; a screen reader is told once.
        h("span", { "aria-hidden": "true" }, this.for),
        "). What is shown is from then. It is asked again and again.",
      ),
    );
    this.tick();
  }

  tick() {
    const age = (Date.now() - this.last) / 1_000;
    if (this.since !== null) this.for.textContent = ago(age);
    this.chip.hidden = !this.isLive || this.since !== null;
    const text = age < 60 ? "Live" : `Live, ${ago(age)} ago`;
    if (this.chip.textContent !== text) this.chip.textContent = text;
  }

  async ask() {
    if (this.isLive && this.since === null) return;
    try {
      await fetch("/health", { cache: "no-store" });
      this.heard();
    } catch {
      this.silent();
    }
  }
}
