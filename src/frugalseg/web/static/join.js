// Turns the invitation behind the # into a session, and forgets it.

import { call } from "./api.js";

const said = document.querySelector("output");
const invitation = location.hash.slice(1);
history.replaceState(null, "", "/join");
try {
  const found = await call("POST", "/api/session", { invitation });
  said.textContent = `Welcome, ${found.account}.`;
  location.replace("/");
} catch (refusal) {
  said.textContent = refusal.message;
}
