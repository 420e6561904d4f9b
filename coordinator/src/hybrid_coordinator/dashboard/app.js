/* Puts the page together: who is here, which view is wanted, and what the header says. */
import { listen, logOut, session } from "./api.js";
import { fill, h } from "./dom.js";
import { InteractionView } from "./interaction.js";
import { Interactions } from "./interactions.js";
import { Login } from "./login.js";
import { Overview } from "./overview.js";
import { Patterns } from "./patterns.js";
import { Presence } from "./presence.js";

const main = document.getElementById("main");
const foot = document.getElementById("foot");
const out = document.getElementById("logout");
const presence = new Presence(document.getElementById("away"), document.getElementById("live"));
const TITLES = { overview: "Overview", interactions: "Interactions", patterns: "Patterns" };

let view = null;
let who = { login: "needed" };

listen({
  onAnswer: () => presence.heard(),
  onSilence: () => presence.silent(),
  onLogin: () => {
    // Several requests may say so at the same time.
    if (who.login === "done") enter({ login: "needed" });
  },
});

/** Shows what the address asks for, or the login where there is no way around it. */
function route(moved) {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [name, id] = path.split("/");
  const parameters = new URLSearchParams(query);
  view?.leave?.();
  if (who.login === "needed") view = new Login(enter);
  else if (name === "interactions" && id) view = new InteractionView(decodeURIComponent(id));
  else if (name === "interactions") view = new Interactions(parameters);
  else if (name === "patterns") view = new Patterns(parameters);
  else view = new Overview(presence);
  const key = name in TITLES ? name : "overview";
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === key && who.login !== "needed") link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = who.login === "needed" ? "Log in · hybrid-ai" : `${TITLES[key]} · hybrid-ai`;
  fill(main, view.element);
  view.enter?.();
  if (moved) {
    scrollTo(0, 0);
    main.querySelector("h1")?.focus({ preventScroll: true });
  }
}

function enter(found) {
  who = found;
  out.hidden = who.login !== "done";
  document.querySelector("nav").hidden = who.login === "needed";
  const as = who.operator ? "the operator, who sees everybody's" : `${who.name}, who sees their own`;
  if (who.login === "needed") foot.textContent = "";
  else if (who.login === "none") foot.textContent = "No keys are declared: who reaches this page sees all.";
  else foot.textContent = `Logged in as ${as}.`;
  route(false);
}

out.addEventListener("click", async () => {
  await logOut().catch(() => null);
  enter({ login: "needed" });
});

addEventListener("hashchange", () => route(true));

async function begin() {
  try {
    enter(await session());
  } catch (error) {
    const words = error.status === 0 ? "The coordinator does not answer yet." : error.message;
    fill(main, h("p", { class: "loading" }, `${words} It is asked again and again.`));
    setTimeout(begin, 3_000);
  }
}

begin();
