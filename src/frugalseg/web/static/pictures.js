// Pictures of questions, fetched ahead. A name never means anything else, so what is here stays right.

const MOST = 64;
const held = new Map();

export function picture(name) {
  if (!name) return Promise.resolve(null);
  if (held.has(name)) {
    const known = held.get(name);
    held.delete(name);
    held.set(name, known); // the newest last
    return known;
  }
  const coming = load(name);
  held.set(name, coming);
  coming.catch(() => held.delete(name));
  while (held.size > MOST) held.delete(held.keys().next().value);
  return coming;
}

export function fetchAhead(question) {
  const { window, lens, earlier, later } = question.media;
  const wanted = [lens.name, window.name, earlier, later].map(picture);
  return Promise.all(wanted.slice(0, 2));
}

async function load(name) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      const response = await fetch(`/media/${name}`, { credentials: "same-origin" });
      if (!response.ok) throw new Error(`${name}: ${response.status}`);
      return await createImageBitmap(await response.blob());
    } catch (error) {
      if (attempt >= 4) throw error;
      await new Promise((resolve) => setTimeout(resolve, 300 * 2 ** attempt));
    }
  }
}
