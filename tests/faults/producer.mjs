// A product that gives feedback through the JavaScript SDK and writes down each event's id before it makes it.
//
//     node producer.mjs '{"url", "key", "source", "names", "count", "folder", "storage", "most"}'
//
// As producer.py does. With `storage`, a file, there is a localStorage that outlasts the process, as a page's outlasts
// a reload.
import { appendFileSync, existsSync, openSync, readFileSync, writeSync } from "node:fs";

const asked = JSON.parse(process.argv[2]);
const name = asked.names[0];
const MOST_WAITING = 200;
const SECONDS = 120;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Entries are own properties, as a browser's are; every change is in the file before the call returns. */
class FileStorage {
  #file;
  constructor(path) {
    const told = existsSync(path) ? readFileSync(path, "utf-8").split("\n").filter(Boolean) : [];
    for (const line of told) {
      const [key, text] = JSON.parse(line);
      if (text === null) delete this[key];
      else this[key] = text;
    }
    this.#file = openSync(path, "a");
  }
  getItem(key) {
    return this[key] ?? null;
  }
  setItem(key, text) {
    this[key] = text;
    writeSync(this.#file, JSON.stringify([key, text]) + "\n");
  }
  removeItem(key) {
    delete this[key];
    writeSync(this.#file, JSON.stringify([key, null]) + "\n");
  }
}

if (asked.storage) globalThis.localStorage = new FileStorage(asked.storage);
const { init, uuid7 } = await import("../../sdk/js/dist/thumbwheel.js");

const client = init({
  url: asked.url,
  key: asked.key,
  source: asked.source,
  actor: name,
  maxEvents: asked.most ?? 1000,
  onError: (_, id) => appendFileSync(`${asked.folder}/${name}.dropped`, id + "\n"),
});
let waiting = 0;
client.subscribe(() => waiting--);
const make = (number, event_id) => {
  waiting++;
  client.thumb({ event_id, interaction_id: `${name}-${number}`, candidate_id: "c-1", value: "up" });
};

const path = `${asked.folder}/${name}.ledger`;
const known = existsSync(path) ? readFileSync(path, "utf-8").split("\n").filter(Boolean) : [];
const next = (number) => {
  const id = uuid7();
  appendFileSync(path, id + "\n");
  make(number, id);
};
if (known.length) make(known.length - 1, known.at(-1));
for (let number = known.length; number < asked.count; number++) {
  next(number);
  if (number % 50 === 0) await pause(0);
  while (waiting > MOST_WAITING) {
    await client.flush(200);
    await pause(5);
  }
}
/** Waits until nothing waits any more; false after SECONDS. */
async function settled() {
  const deadline = performance.now() + SECONDS * 1000;
  while (performance.now() < deadline) {
    if (await client.flush(500)) return true;
    await pause(50);
  }
  return false;
}

let empty = await settled();
if (asked.most) {
  next(asked.count);
  empty = await settled();
}
await client.shutdown();
console.log(JSON.stringify({ name, dropped: client.dropped, waiting: empty ? 0 : waiting }));
