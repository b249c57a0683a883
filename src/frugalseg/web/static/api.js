// Talks to the server. Every refusal is one object: {status, kind, message, retryAfterS}; status 0: no server.

export class Refused extends Error {
  constructor(status, kind, message, retryAfterS = null) {
    super(message);
    Object.assign(this, { status, kind, retryAfterS });
  }
}

export async function call(method, path, body) {
  const options = { method, credentials: "same-origin", cache: "no-store" };
  if (body !== undefined) {
    options.headers = { "content-type": "application/json" };
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    throw new Refused(0, "offline", "The server cannot be reached.");
  }
  const content = await response.json().catch(() => null);
  if (response.ok) return content;
  const { kind = "refused", message = response.statusText } = content?.error ?? {};
  throw new Refused(response.status, kind, message, Number(response.headers.get("retry-after")) || null);
}

export const session = () => call("GET", "/api/session");

// crypto.randomUUID exists only on https and localhost; a LAN has neither.
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children); // text stays text, whatever it looks like
  return made;
}

export function lookButton(button) {
  const looks = ["auto", "light", "dark"];
  const show = (look) => {
    document.documentElement.dataset.look = look;
    button.textContent = `look: ${look}`;
  };
  show(localStorage.getItem("look") ?? "auto");
  button.addEventListener("click", () => {
    const next = looks[(looks.indexOf(document.documentElement.dataset.look) + 1) % looks.length];
    localStorage.setItem("look", next);
    show(next);
    button.blur();
  });
}
