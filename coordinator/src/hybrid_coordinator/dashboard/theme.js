/* Sets the theme before the first paint: the system's, or the one that was chosen here. */
"use strict";

(() => {
  const KEY = "hybrid-ai.theme";
  const chosen = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null; // Storage is switched off: then it is the system's, each time.
    }
  };
  const apply = (theme) => {
    document.documentElement.dataset.theme = theme;
  };
  const system = matchMedia("(prefers-color-scheme: dark)");
  let here = null;
  const current = () => here ?? chosen() ?? (system.matches ? "dark" : "light");
  apply(current());
  system.addEventListener("change", () => {
    apply(current());
    document.dispatchEvent(new Event("theme"));
  });
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const tell = () => {
      const other = current() === "dark" ? "light" : "dark";
      button.textContent = other === "dark" ? "Dark" : "Light";
      button.setAttribute("aria-label", `Switch to the ${other} theme`);
    };
    tell();
    document.addEventListener("theme", tell);
    button.addEventListener("click", () => {
      const other = current() === "dark" ? "light" : "dark";
      try {
        localStorage.setItem(KEY, other);
      } catch {
        // It holds until the page is left.
      }
      here = other;
      apply(other);
      document.dispatchEvent(new Event("theme"));
    });
  });
})();
