// Progress, hours, agreement, each person's figures; for admins also who may come in.

import { call, element, lookButton, session } from "./api.js";
import { loginDialog } from "./login.js";

const REFRESH_MS = 10_000;
const MISTAKES = 5; // named of each person
const $ = (selector) => document.querySelector(selector);
const cell = (content) => element("td", {}, content);
const hours = (seconds) => (seconds === null ? "–" : `${(seconds / 3600).toFixed(2)} h`);
const number = (value, digits = 1) => (value === null ? "–" : value.toFixed(digits));

function card(name, value, more = "") {
  return element("div", { class: "card" }, element("span", { class: "soft" }, name), element("strong", {}, value), more);
}

function show(found) {
  const { progress, each_s: each, agreement } = found;
  $("#bar").max = Math.max(1, progress.questions);
  $("#bar").value = progress.answered;
  const same = agreement.questions ? `${Math.round((100 * agreement.same) / agreement.questions)} %` : "–";
  $("#cards").replaceChildren(
    card("answered", `${progress.answered} of ${progress.questions}`, `${progress.settled} with every answer wanted`),
    card("seconds an answer", number(each.median), `quartiles ${number(each.low)} – ${number(each.high)}`),
    card("time spent", hours(found.spent_s)),
    card("time left", hours(found.left_s), "at the median pace"),
    card("agreement", same, `on ${agreement.questions} questions of two people`),
    card("to decide", String(found.undecided + found.late), `${found.undecided} differ, ${found.late} late`),
  );
  $("#people").replaceChildren(...found.people.map((person) => element("tr", {},
    cell(person.name), cell(String(person.answers)), cell((person.seconds / 3600).toFixed(2)),
    cell(`${number(person.each_s.median)} (${number(person.each_s.low)} – ${number(person.each_s.high)})`),
    cell(String(person.revealed)), cell(person.checked ? `${person.right} of ${person.checked}` : "–"),
    cell(person.estimated_right === null ? "–" : `${Math.round(100 * person.estimated_right)} % (${person.judged})`))));
  $("#confusions").replaceChildren(...found.people.filter((person) => person.mistakes.length).map((person) =>
    element("p", {}, element("strong", {}, person.name), " takes ", person.mistakes.slice(0, MISTAKES)
      .map(({ truth, said, count, share }) =>
        `${found.classes[truth]} for ${found.classes[said]} (${count.toFixed(1)}: ${Math.round(100 * share)} %)`)
      .join(", "))));
}

async function showAccounts(project) {
  const { people } = await call("GET", `/api/${project}/people`);
  const revoke = async (name) => {
    await call("DELETE", `/api/${project}/people/${encodeURIComponent(name)}/tokens`);
    await showAccounts(project);
  };
  $("#accounts").replaceChildren(...people.map((person) => element("tr", {},
    cell(person.name), cell(person.role), cell(String(person.tokens)),
    cell(element("button", { type: "button", onclick: () => revoke(person.name) }, "revoke")))));
}

function invite(project) {
  const form = $("#admin form");
  form.onsubmit = async (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(form));
    try {
      const { invitation } = await call("POST", `/api/${project}/people`, given);
      $("#admin output").textContent = `For ${given.name} alone, shown once: ${location.origin}/join#${invitation}`;
      form.reset();
      await showAccounts(project);
    } catch (refusal) {
      $("#admin output").textContent = refusal.message;
    }
  };
}

async function main() {
  lookButton($("#look"));
  let about;
  while (!about) about = await session().catch((refusal) => (refusal.status === 401 ? loginDialog() : null));
  $("#selection").textContent = about.selection;
  if (!about.rights.includes("review")) {
    $("main").replaceChildren(element("p", {}, `${about.account} is ${about.role}; only reviewers see figures.`));
    return;
  }
  $("#csv").href = `/api/${about.project}/people.csv`;
  $("#admin").hidden = !about.rights.includes("admin");
  if (about.rights.includes("admin")) {
    invite(about.project);
    await showAccounts(about.project);
  }
  const refresh = async () => {
    try {
      show(await call("GET", `/api/${about.project}/dashboard`));
    } catch (refusal) {
      if (refusal.status === 401) await loginDialog();
    }
    setTimeout(refresh, REFRESH_MS);
  };
  await refresh();
}

main();
