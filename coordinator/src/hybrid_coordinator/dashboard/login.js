/* The login: an API key, sent once in a request's body. */
import { logIn } from "./api.js";
import { fill, h } from "./dom.js";

export class Login {
  constructor(done) {
    this.done = done;
    this.said = h("p", { class: "said", role: "alert", id: "login-said" });
    this.field = h("input", {
      type: "password",
      id: "key",
      name: "key",
      required: true,
      autocomplete: "current-password",
      spellcheck: "false",
      "aria-describedby": "key-hint login-said",
    });
    this.button = h("button", { type: "submit" }, "Log in");
    this.element = h(
      "div",
      { class: "login card" },
      h("h1", { tabindex: "-1" }, "Log in"),
      h(
        // Should the scripts fail, the key goes into a body all the same, never into an address.
        "form",
        { method: "post", action: "session", onsubmit: (event) => this.submit(event) },
        h("label", { for: "key" }, "API key"),
        this.field,
        h(
          "p",
          { class: "hint", id: "key-hint" },
          "A key of the keys file shows its own interactions; the operator's key, which is in the " +
            "state directory, shows everything.",
        ),
        this.button,
        this.said,
      ),
    );
  }

  enter() {
    this.field.focus();
  }

  async submit(event) {
    event.preventDefault();
    this.button.disabled = true;
    fill(this.said);
    try {
      this.done(await logIn(this.field.value.trim()));
    } catch (error) {
      fill(this.said, error.message);
      this.field.setAttribute("aria-invalid", "true");
      this.field.select();
    } finally {
      this.button.disabled = false;
    }
  }
}
