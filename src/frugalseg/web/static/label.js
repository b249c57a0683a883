// The page "which class is this one pixel?": one key answers and goes on; nothing waits for the network.

import { call, element, lookButton, Refused, session, uuid } from "./api.js";
import { ActiveClock } from "./clock.js";
import { Keys, shown } from "./keys.js";
import { loginDialog } from "./login.js";
import { Outbox } from "./outbox.js";
import { palette } from "./palette.js";
import { fetchAhead, picture } from "./pictures.js";
import { View } from "./view.js";

const AHEAD = 16; // questions held
const REFILL = 8; // more are asked for when fewer than this are ready
const BEAT_MS = 30_000;
const $ = (selector) => document.querySelector(selector);

class Page {
  constructor(about, view) {
    Object.assign(this, { about, view });
    this.keys = new Keys(about.classes);
    this.clock = new ActiveClock();
    this.ahead = []; // questions to come; ready ones have `images`
    this.behind = []; // questions answered in this tab, the newest last
    this.versions = new Map(); // question -> version its next event is made upon
    this.owed = new Map(); // question -> its events not yet on the server
    this.spent = []; // ms of the answers in this tab
    this.progress = about.progress;
    this.outbox = new Outbox(about.project, about.account, {
      changed: () => this.showState(),
      loginNeeded: () => this.logIn(),
      sent: (entry, receipt) => this.sent(entry, receipt),
    });
  }

  async start() {
    for (const { event } of await this.outbox.open()) this.owe(event.query, 1);
    this.showPalette();
    this.outbox.send();
    await this.refill();
    setInterval(() => this.beat(), BEAT_MS);
  }

  // --- questions to come

  async refill() {
    if (this.filling || this.ahead.length >= REFILL) return;
    this.filling = true;
    try {
      // Who answers fast always has something to send: new questions do not wait for that. What the server has not yet
      // seen comes back as a question, is left out below, and is asked for on top.
      const waiting = [...this.owed.values()].filter((count) => count > 0).length;
      const path = `/api/${this.about.project}/leases`;
      const found = await call("POST", path, { count: Math.min(32, AHEAD + waiting) });
      this.progress = found.progress;
      const known = new Set([this.question?.query, ...this.ahead.map((question) => question.query)]);
      for (const question of found.questions) {
        if (known.has(question.query) || this.owed.get(question.query) > 0) continue;
        if (this.versions.get(question.query) > question.version) continue; // answered while this list was on its way
        this.versions.set(question.query, question.version);
        this.ahead.push(question);
        this.prepare(question);
      }
      this.finished = found.questions.length === 0 && waiting === 0;
    } catch (refusal) {
      if (!(refusal instanceof Refused)) throw refusal;
      if (refusal.status === 401) this.logIn();
      else setTimeout(() => this.refill(), 2000);
    } finally {
      this.filling = false;
      this.showState();
    }
    if (this.question || this.finished) return;
    if (this.ahead.some((question) => question.images)) this.next();
    else if (!this.ahead.length) setTimeout(() => this.refill(), 500); // the list was older than an answer
  }

  async prepare(question) {
    try {
      await fetchAhead(question);
      const { window, lens, earlier, later } = question.media;
      question.images = { window: await picture(window.name), lens: await picture(lens.name) };
      Promise.all([picture(earlier), picture(later)]).then(
        ([before, after]) => Object.assign(question.images, { earlier: before, later: after }), () => {});
      if (!this.question) this.next();
      this.showState();
    } catch (error) {
      setTimeout(() => this.prepare(question), 3000);
    }
  }

  next() {
    const place = this.ahead.findIndex((question) => question.images); // those without are on their way
    this.ask(place < 0 ? null : this.ahead.splice(place, 1)[0]);
    this.refill();
  }

  ask(question) {
    this.question = question;
    this.showState();
    this.revealed = false;
    this.hideGuess();
    $(".ask").hidden = !question;
    $(".done").hidden = Boolean(question);
    document.body.dataset.question = question?.query ?? "";
    if (!question) return;
    this.view.show(question, question.images);
    this.clock.start();
    this.shownAt = Date.now();
    $("#place").textContent = `${question.key}, row ${question.row}, column ${question.column}`;
  }

  // --- what a person does

  act(action) {
    const steps = {
      back: () => this.takeBack(), context: () => this.view.nextContext(), guess: () => this.showGuess(),
      earlier: () => this.view.turn(-1), later: () => this.view.turn(1), help: () => this.help(),
      darker: () => this.view.light(0.85, 1), brighter: () => this.view.light(1 / 0.85, 1),
      flatter: () => this.view.light(1, 0.85), harder: () => this.view.light(1, 1 / 0.85),
      closer: () => this.view.zoom(1.5), farther: () => this.view.zoom(1 / 1.5),
    };
    if (steps[action]) steps[action]();
    else this.answer(action);
  }

  answer(action) {
    const { question } = this;
    if (!question || this.outbox.trouble) return;
    const chosen = action.startsWith("class ") ? Number(action.slice(6)) : null;
    const times = this.clock.read();
    this.spent.push(times.active_ms);
    const verdict = chosen === null ? action : "class";
    this.put(question, { kind: "answer", verdict, class_id: chosen, revealed: this.revealed,
      shown_at_ms: this.shownAt, answered_at_ms: Date.now(), ...times });
    question.said = chosen === null ? this.keys.describe(action) : this.about.classes[chosen].name;
    this.behind.push(question);
    $("#last").textContent = question.said;
    this.next();
  }

  takeBack() {
    const last = this.behind.pop();
    if (!last || this.outbox.trouble) return;
    this.put(last, { kind: "undo", answered_at_ms: Date.now() });
    if (this.question) this.ahead.unshift(this.question);
    $("#last").textContent = `taken back: ${last.said}`;
    this.ask(last);
  }

  put(question, payload) {
    const version = this.versions.get(question.query);
    this.versions.set(question.query, version + 1);
    this.owe(question.query, 1);
    const event = { query: question.query, base_version: version, fence: question.fence, payload };
    this.outbox.add(uuid(), event).catch(() => this.showState());
  }

  owe(query, count) {
    this.owed.set(query, (this.owed.get(query) ?? 0) + count);
  }

  sent(entry, receipt) {
    const { query } = entry.event;
    this.owe(query, -1);
    if (!(this.owed.get(query) > 0)) this.versions.set(query, receipt.version);
  }

  // --- the model's guess: never shown unasked, and noted

  showGuess() {
    if (!this.question) return;
    this.revealed = true;
    const { guess } = this.question;
    const name = guess === null ? "nothing is known" : this.about.classes[guess]?.name;
    $("#guess").textContent = `the model says: ${name}`;
    $("#guess").hidden = false;
    if (guess !== null) $("#palette").children[guess]?.classList.add("guessed");
  }

  hideGuess() {
    $("#guess").hidden = true;
    for (const row of $("#palette").children) row.classList.remove("guessed");
  }

  // --- the rest of the screen

  showPalette() {
    palette($("#palette"), this.about.classes, this.keys, (action) => this.act(action));
  }

  showState() {
    const { saving, local, refused } = this.outbox.counts;
    const state = refused || this.outbox.trouble ? "refused" : saving || local ? "local" : "saved";
    const said = {
      refused: this.outbox.trouble ?? `${refused} refused by the server`,
      local: `${local} on this machine, not yet on the server${saving ? `, ${saving} being saved` : ""}`,
      saved: "all on the server",
    };
    $(".dot").dataset.state = state;
    $("#saved").textContent = said[state];
    const ready = this.ahead.filter((question) => question.images).length; // so many can be answered without the server
    $("#saved").title = `${ready} more questions are on this machine`;
    const { questions, answered } = this.progress;
    const each = median(this.spent);
    const pace = each === null ? "" : ` · ${(each / 1000).toFixed(1)} s/answer · ~${
      Math.ceil((questions - answered) * each / 60_000)} min left`;
    $("#pace").textContent = `${answered}/${questions}${pace}`;
    $(".done p").textContent = this.finished
      ? "Nothing is left to ask. Thank you! You may close this page." : "The next questions are on their way …";
    $("#export").hidden = state === "saved";
  }

  help() {
    const rows = this.keys.actions.map((action) => element("tr", {},
      element("td", {}, element("kbd", {}, shown(this.keys.of(action)))),
      element("td", {}, this.keys.describe(action)),
      element("td", {}, element("button", { type: "button", onclick: (event) => this.change(action, event.target) }, "change"))));
    $("#keys").replaceChildren(...rows);
    $("#help").showModal();
  }

  change(action, button) {
    button.textContent = "press a key …";
    button.addEventListener("keydown", (event) => {
      event.preventDefault();
      event.stopPropagation();
      if (event.key.length === 1) this.keys.change(action, event.key);
      this.showPalette();
      $("#help").close();
      this.help();
    }, { once: true });
  }

  async beat() {
    try {
      const { held } = await call("POST", `/api/${this.about.project}/heartbeat`, {});
      const mine = new Set(held);
      this.ahead = this.ahead.filter((question) => mine.has(question.query));
      this.refill();
    } catch (refusal) {
      if (refusal.status === 401) this.logIn();
    }
  }

  async logIn() {
    const found = await loginDialog();
    if (found.project !== this.about.project || found.account !== this.about.account) location.reload();
    this.outbox.send();
    this.refill();
  }

  // Everything that waits on this machine, as a file: for when the server is gone for good.
  async save() {
    const text = JSON.stringify({ project: this.about.project, events: await this.outbox.all() }, null, 1);
    const link = element("a", { href: URL.createObjectURL(new Blob([text])), download: "answers-not-sent.json" });
    link.click();
  }

  listen() {
    addEventListener("keydown", (event) => this.#key(event));
    addEventListener("keyup", (event) => {
      if (this.keys.what(event.key) === "guess") this.hideGuess();
    });
    for (const kind of ["pointermove", "wheel"]) addEventListener(kind, () => this.clock.touch(), { passive: true });
    document.addEventListener("visibilitychange", () => this.clock.show(document.visibilityState === "visible"));
    addEventListener("beforeunload", (event) => {
      if (this.outbox.counts.saving) event.preventDefault();
    });
    $("#export").addEventListener("click", () => this.save());
    $("#ask-help").addEventListener("click", () => this.help());
    $("#reset-keys").addEventListener("click", () => {
      this.keys.reset();
      this.showPalette();
      $("#help").close();
    });
  }

  #key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
    if (event.target.closest("input, select") || (event.target.closest("button, a") && [" ", "Enter"].includes(event.key))) return;
    const arrows = { ArrowLeft: [-20, 0], ArrowRight: [20, 0], ArrowUp: [0, -20], ArrowDown: [0, 20] };
    if (arrows[event.key]) this.view.pan(...arrows[event.key].map((pixels) => pixels / this.view.scale));
    const action = this.keys.what(event.key);
    this.clock.touch();
    if (!action && !arrows[event.key]) return;
    event.preventDefault();
    if (action && (!event.repeat || ["closer", "farther"].includes(action))) this.act(action);
  }
}

function median(values) {
  if (!values.length) return null;
  const order = [...values].sort((one, other) => one - other);
  const middle = order.length >> 1;
  return order.length % 2 ? order[middle] : (order[middle - 1] + order[middle]) / 2;
}

// A second tab of the same person would be given the same questions. (Only https and localhost have locks.)
async function onlyTab(project) {
  if (!navigator.locks) return;
  await new Promise((resolve) => {
    navigator.locks.request(`frugalseg-${project}`, { ifAvailable: true }, (lock) => {
      if (lock) {
        resolve();
        return new Promise(() => {}); // held as long as this tab lives
      }
      $(".done p").textContent = "This page is open in another tab. Close it there to go on here.";
      navigator.locks.request(`frugalseg-${project}`, () => {
        resolve();
        return new Promise(() => {});
      });
    });
  });
}

async function main() {
  lookButton($("#look"));
  let about;
  while (!about) {
    try {
      about = await session();
    } catch (refusal) {
      if (refusal.status === 401) about = await loginDialog();
      else await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  }
  $("#who").textContent = about.account;
  for (const link of document.querySelectorAll("[data-right]")) link.hidden = !about.rights.includes(link.dataset.right);
  await onlyTab(about.project);
  const page = new Page(about, new View($(".view canvas"), $(".lens"), $(".view .note")));
  page.listen();
  await page.start();
}

main();
