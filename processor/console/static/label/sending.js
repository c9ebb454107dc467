// What goes to the work API. What a person submitted waits here until it is taken in: through a restart of the console,
// and through a reload of the page.

const PAUSE_MS = 1000;

export class Refused extends Error {
  constructor(status, error) {
    super(error.message);
    this.status = status;
    this.code = error.code;
    this.field = error.field ?? "";
  }
}

export function api({ task, project }, csrf) {
  const address = (what) => `/api/v1/tasks/${encodeURIComponent(task)}/${what}?project=${encodeURIComponent(project)}`;
  async function ask(what, options) {
    const answer = await fetch(address(what), { headers: { "X-CSRF-Token": csrf, "Content-Type": "application/json" }, ...options });
    const body = await answer.json();
    if (!answer.ok) throw new Refused(answer.status, body.error ?? { code: "internal", message: "" });
    return body;
  }
  return {
    post: (what, body, more = {}) => ask(what, { method: "POST", body: JSON.stringify(body), ...more }),
    get: (what) => ask(what, {}),
  };
}

// Sends in order; tries again what the network or a restarting console did not take. `told(entry, result, error)`.
export function outbox(name, post, told, waiting) {
  const read = () => JSON.parse(localStorage.getItem(name) ?? "[]");
  const write = (entries) => {
    if (entries.length) localStorage.setItem(name, JSON.stringify(entries));
    else localStorage.removeItem(name);
  };
  let running = null;

  async function send() {
    for (let entries = read(); entries.length; entries = read()) {
      const [entry] = entries;
      let result = null;
      let error = null;
      try {
        result = await post(entry.what, entry.body);
      } catch (problem) {
        error = problem;
      }
      if (error && (!(error instanceof Refused) || error.status >= 500 || error.status === 429 || error.status === 401)) {
        waiting(entries.length, error);
        await new Promise((done) => setTimeout(done, PAUSE_MS));
        continue;
      }
      write(read().filter((each) => each.body.token !== entry.body.token || each.what !== entry.what));
      await told(entry, result, error);
    }
  }

  return {
    put(what, body) {
      write([...read(), { what, body }]);
      return this.flush();
    },
    flush() {
      running ??= send().finally(() => { running = null; });
      return running;
    },
    tokens: () => read().map((entry) => entry.body.token),
  };
}
