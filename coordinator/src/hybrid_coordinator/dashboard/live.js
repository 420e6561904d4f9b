/* The stream of figures, and whether the coordinator is there: since when it is not, otherwise. */
import { ask, ApiError, withQuery } from "./api.js";

const RETRY = 5_000;
const PATIENCE = 45_000; // The stream says something at least every 15 s.

/**
 * Figures of a range, again and again. `onFigures` is given each; `onRefused` the ApiError where
 * this user may not have them; `onSilence` and `onAnswer` whether the coordinator is heard.
 */
export class Live {
  constructor({ onFigures, onRefused, onSilence, onAnswer }) {
    this.onFigures = onFigures;
    this.onRefused = onRefused;
    this.onSilence = onSilence;
    this.onAnswer = onAnswer;
    this.source = null;
    this.timer = 0;
  }

  /** Begins, or begins anew with another range. */
  start(range) {
    this.stop();
    this.range = range;
    const source = new EventSource(withQuery("/v1/dashboard/events", { range }));
    this.source = source;
    source.addEventListener("open", () => this.heard());
    source.addEventListener("figures", (event) => {
      this.heard();
      this.onFigures(JSON.parse(event.data));
    });
    source.addEventListener("error", () => this.failed(source));
  }

  stop() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  heard() {
    clearTimeout(this.timer);
    this.onAnswer();
    // Comments reach no listener, so silence is only a reason to ask.
    this.timer = setTimeout(() => this.check(), PATIENCE);
  }

  /** An event source does not say why it failed: a plain request does. */
  async failed(source) {
    if (source !== this.source) return;
    if (await this.check()) return;
    if (source === this.source && source.readyState === EventSource.CLOSED) {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.start(this.range), RETRY);
    }
  }

  /** Asks once; whether the user was refused, so that there is nothing to wait for. */
  async check() {
    const source = this.source;
    try {
      const data = await ask(withQuery("/v1/dashboard", { range: this.range }));
      if (source === this.source) {
        this.heard();
        this.onFigures(data);
      }
    } catch (error) {
      if (!(error instanceof ApiError) || source !== this.source) return false;
      if ([401, 403, 404].includes(error.status)) {
        this.stop();
        this.onRefused(error);
        return true;
      }
      if (error.status === 0) {
        this.onSilence();
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.start(this.range), RETRY);
      } else {
        this.onRefused(error);
      }
    }
    return false;
  }
}
