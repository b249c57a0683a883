// Asks for an invitation link in place: what waits to be sent stays where it is.

import { call } from "./api.js";

export function loginDialog() {
  const dialog = document.querySelector("#login");
  const [input, output] = [dialog.querySelector("input"), dialog.querySelector("output")];
  return new Promise((resolve) => {
    dialog.querySelector("form").onsubmit = async (event) => {
      event.preventDefault();
      const given = input.value.trim();
      try {
        const found = await call("POST", "/api/session", { invitation: given.slice(given.indexOf("#") + 1) });
        dialog.close();
        resolve(found);
      } catch (refusal) {
        output.textContent = refusal.message;
      }
    };
    dialog.oncancel = (event) => event.preventDefault();
    if (!dialog.open) dialog.showModal();
  });
}
