/* Asks the coordinator: the session's second secret with what changes something, errors as sentences. */

/** What the coordinator refused; `status` 0: it did not answer at all. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

const state = { csrf: "", onAnswer: () => {}, onSilence: () => {}, onLogin: () => {} };

/** Who is told: of each answer, of each silence, and that a login is needed. */
export function listen(listeners) {
  Object.assign(state, listeners);
}

/** Asks `path`; the answer's JSON. Raises ApiError. */
export async function ask(path, { method = "GET", body, signal } = {}) {
  const headers = { accept: "application/json" };
  if (body !== undefined) headers["content-type"] = "application/json";
  if (method !== "GET" && state.csrf) headers["x-hybrid-csrf"] = state.csrf;
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers,
      signal,
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
      redirect: "error",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    state.onSilence();
    throw new ApiError(0, "The coordinator does not answer.");
  }
  if (answer.status === 502 || answer.status === 504) {
    // A proxy's word: the coordinator itself answers neither here.
    state.onSilence();
    throw new ApiError(0, "The coordinator does not answer.");
  }
  state.onAnswer();
  const found = await answer.json().catch(() => null);
  if (answer.ok) return found;
  const message = found?.error?.message ?? `The coordinator answered with status ${answer.status}.`;
  if (answer.status === 401 && !path.startsWith("session")) state.onLogin();
  throw new ApiError(answer.status, message);
}

/** Who the page's user is. */
export async function session() {
  return keep(await ask("session"));
}

/** Logs in with an API key; it is sent once, in the body, and not kept. */
export async function logIn(key) {
  return keep(await ask("session", { method: "POST", body: { key } }));
}

export async function logOut() {
  return keep(await ask("session", { method: "DELETE" }));
}

function keep(view) {
  state.csrf = view.csrf;
  return view;
}

/** A path with the parameters that are set. */
export function withQuery(path, parameters) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== null && value !== "") query.set(name, value);
  }
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}
