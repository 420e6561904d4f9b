/* Numbers, times and money as text with their units; what is null is "no data", never a number. */
import { h } from "./dom.js";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const one = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const dateTime = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

export const NO_DATA = "no data";

const known = (value) => value !== null && value !== undefined;
const or = (write) => (value) => (known(value) ? write(value) : NO_DATA);

/** What is shown for a value that nobody knows; dimmed, but as readable as the others. */
export function shown(text) {
  return text === NO_DATA ? h("span", { class: "nodata" }, NO_DATA) : text;
}

export const count = or((n) => (Math.abs(n) < 100_000 ? whole.format(n) : short.format(n)));
export const exact = or((n) => whole.format(n));
export const percent = or((share) => `${one.format(share * 100)} %`);
export const points = or((value) => `${one.format(value)} %`);
export const tokens = or((n) => `${n < 10_000 ? whole.format(n) : short.format(n)} tokens`);
export const signed = or((n) => (n > 0 ? `+${whole.format(n)}` : whole.format(n)));
export const decimals = or((n) => n.toFixed(2));

export const usd = or((n) => {
  if (n === 0) return "$0";
  if (Math.abs(n) < 0.01) return `$${n.toPrecision(2)}`;
  return `$${n.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
});

export const milliseconds = or((ms) => {
  if (ms < 10) return `${one.format(ms)} ms`;
  return ms < 1_000 ? `${whole.format(ms)} ms` : `${one.format(ms / 1_000)} s`;
});

export const time = or((s) => dateTime.format(new Date(s * 1_000)));
export const timeOfDay = (date) => clock.format(date);

/** How long ago, in one unit: "3 min". */
export function ago(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3_600) return `${Math.floor(s / 60)} min`;
  if (s < 86_400) return `${Math.floor(s / 3_600)} h`;
  return `${Math.floor(s / 86_400)} d`;
}

/** One of a thing, or several. */
export const plural = (n, word) => `${exact(n)} ${word}${n === 1 ? "" : "s"}`;
