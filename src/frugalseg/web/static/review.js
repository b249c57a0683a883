// A reviewer decides where people's answers differ, or where a late one says something else.

import { call, element, lookButton, Refused, session, uuid } from "./api.js";
import { ActiveClock } from "./clock.js";
import { Keys } from "./keys.js";
import { loginDialog } from "./login.js";
import { palette } from "./palette.js";
import { fetchAhead } from "./pictures.js";
import { View } from "./view.js";

const $ = (selector) => document.querySelector(selector);
const DECISIONS = ["ambiguous", "none"];
const LOOKS = {
  context: (view) => view.nextContext(), earlier: (view) => view.turn(-1), later: (view) => view.turn(1),
  darker: (view) => view.light(0.85, 1), brighter: (view) => view.light(1 / 0.85, 1), flatter: (view) => view.light(1, 0.85),
  harder: (view) => view.light(1, 1 / 0.85), closer: (view) => view.zoom(1.5), farther: (view) => view.zoom(1 / 1.5),
};

class Review {
  constructor(about, view) {
    Object.assign(this, { about, view, keys: new Keys(about.classes), clock: new ActiveClock(), versions: new Map() });
    palette($("#palette"), about.classes, this.keys, (action) => this.decide(action), DECISIONS);
    addEventListener("keydown", (event) => this.#key(event));
  }

  async start() {
    this.items = (await call("GET", `/api/${this.about.project}/review`)).items;
    await this.next();
  }

  async next() {
    const item = this.items[0];
    $("#left").textContent = `${this.items.length} to decide`;
    if (item) {
      const [lens, window, earlier, later] = await fetchAhead(item).then((two) => [...two, null, null]);
      $(".ask").hidden = false;
      this.view.show(item, { lens, window, earlier, later });
      $("#answers").replaceChildren(...item.said.map((said) => element("tr", {},
        element("td", {}, said.name), element("td", {}, this.name(said)),
        element("td", { class: "soft" }, said.late ? "late" : `${said.seconds.toFixed(1)} s`))));
      $("#place").textContent = `${item.key}, row ${item.row}, column ${item.column}`;
      this.clock.start();
      this.shownAt = Date.now();
    }
    $(".ask").hidden = !item;
    $(".done").hidden = Boolean(item);
    $(".done p").textContent = "People agree on everything that several of them answered.";
    document.body.dataset.question = item?.query ?? "";
  }

  name({ verdict, class_id: id }) {
    return id === null ? this.keys.describe(verdict) : this.about.classes[id].name;
  }

  async decide(action) {
    const item = this.items[0];
    if (!item || this.busy) return;
    const id = action.startsWith("class ") ? Number(action.slice(6)) : null;
    const payload = { kind: "decision", verdict: id === null ? action : "class", class_id: id,
      shown_at_ms: this.shownAt, answered_at_ms: Date.now(), ...this.clock.read() };
    const event = { query: item.query, seq: 0, base_version: this.versions.get(item.query) ?? item.version ?? 0, fence: 0, payload };
    this.busy = true;
    try {
      await this.#put(uuid(), event);
      $("#said").textContent = `decided: ${this.name(payload)}`;
      this.items.shift();
      await this.next();
    } catch (refusal) {
      if (!(refusal instanceof Refused)) throw refusal;
      $("#said").textContent = refusal.message;
      if (refusal.status === 401) await loginDialog();
    } finally {
      this.busy = false;
    }
  }

  // The version of an own earlier decision is not known here: the server says it, and the decision is made upon it.
  async #put(name, event) {
    const receipt = await call("PUT", `/api/${this.about.project}/events/${name}`, event);
    if (receipt.fate !== "applied") {
      const again = { ...event, base_version: receipt.version };
      await call("PUT", `/api/${this.about.project}/events/${uuid()}`, again);
    }
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
    if (event.target.closest("input") || (event.target.closest("button, a") && [" ", "Enter"].includes(event.key))) return;
    const action = this.keys.what(event.key);
    if (!action || event.repeat) return;
    this.clock.touch();
    if (LOOKS[action]) LOOKS[action](this.view);
    else if (action.startsWith("class ") || DECISIONS.includes(action)) this.decide(action);
  }
}

async function main() {
  lookButton($("#look"));
  let about;
  while (!about) about = await session().catch((refusal) => (refusal.status === 401 ? loginDialog() : null));
  if (!about.rights.includes("review")) {
    $(".done p").textContent = `${about.account} is ${about.role}; only reviewers decide.`;
    return;
  }
  await new Review(about, new View($(".view canvas"), $(".lens"), $(".view .note"))).start();
}

main();
