// Answers on their way: first on this machine's disk (IndexedDB, strict), then on the server's, then forgotten here.
// One queue a project, so that it never reaches another project's server; events are sent one after the other.

import { call } from "./api.js";

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 10_000;

export class Outbox {
  // `changed` is called after each step; `loginNeeded` when the session has ended; `sent(entry, receipt)` for each receipt.
  constructor(project, account, { changed, loginNeeded, sent }) {
    Object.assign(this, { project, account, changed, loginNeeded, sent });
    this.counts = { saving: 0, local: 0, refused: 0 };
    this.trouble = null;
    this.wait = FIRST_WAIT_MS;
  }

  async open() {
    const request = indexedDB.open(`frugalseg-${this.project}`, 1);
    request.onupgradeneeded = () => request.result.createObjectStore("events", { keyPath: "seq", autoIncrement: true });
    this.database = await settled(request);
    navigator.storage?.persist?.();
    await this.count();
    addEventListener("online", () => this.send());
    return (await this.all()).filter((entry) => entry.account === this.account);
  }

  // Resolves once the event is on this machine's disk.
  async add(uuid, event) {
    this.counts.saving += 1;
    this.changed();
    try {
      const transaction = this.database.transaction("events", "readwrite", { durability: "strict" });
      transaction.objectStore("events").add({ uuid, account: this.account, event });
      await finished(transaction);
      this.trouble = null;
    } catch (error) {
      this.trouble = `This browser could not save an answer: ${error.message}. Do not go on.`;
      throw error;
    } finally {
      await this.count(1); // in one step: the dot is never green between "being saved" and "saved here"
    }
    this.send();
  }

  async all() {
    return settled(this.database.transaction("events").objectStore("events").getAll());
  }

  async count(saved = 0) {
    const entries = await this.all();
    this.counts.saving -= saved;
    this.counts.refused = entries.filter((entry) => entry.refused).length;
    this.counts.local = entries.length - this.counts.refused;
    this.changed();
  }

  // Sends what is there; only one sender at a time. Resolves when nothing is left to send, or sending has to wait.
  send() {
    this.sending ??= this.#send().finally(() => {
      this.sending = null;
    });
    return this.sending;
  }

  async #send() {
    clearTimeout(this.timer);
    for (;;) {
      const entries = await this.all();
      const next = entries.find((entry) => !entry.refused && entry.account === this.account);
      if (!next) {
        this.wait = FIRST_WAIT_MS;
        return;
      }
      const path = `/api/${this.project}/events/${next.uuid}`;
      try {
        const receipt = await call("PUT", path, { ...next.event, seq: next.seq });
        await this.#forget(next.seq);
        this.sent(next, receipt);
        this.wait = FIRST_WAIT_MS;
      } catch (refusal) {
        if (await this.#handle(next, refusal)) return;
      }
      await this.count();
    }
  }

  // Returns whether sending has to pause.
  async #handle(entry, refusal) {
    if (refusal.status === undefined) throw refusal;
    if (refusal.status === 401) {
      this.loginNeeded();
      return true;
    }
    if (refusal.status === 0 || refusal.status >= 500 || refusal.status === 429) {
      const wait = refusal.retryAfterS ? refusal.retryAfterS * 1000 : this.wait;
      this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS);
      this.timer = setTimeout(() => this.send(), wait);
      return true;
    }
    const transaction = this.database.transaction("events", "readwrite", { durability: "strict" });
    transaction.objectStore("events").put({ ...entry, refused: refusal.message });
    await finished(transaction);
    return false;
  }

  async #forget(seq) {
    const transaction = this.database.transaction("events", "readwrite");
    transaction.objectStore("events").delete(seq);
    await finished(transaction);
  }
}

function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function finished(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });
}
