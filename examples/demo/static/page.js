/** What both pages share: the data the server gave, texts, the feedback client, and JSON over HTTP. */

export const page = JSON.parse(document.body.dataset.page);
export const texts = page.texts;

/** The text with `{n}` and the like filled in. */
export function say(id, values = {}) {
  return Object.entries(values).reduce((text, [name, value]) => text.replace(`{${name}}`, String(value)), texts[id]);
}

/** The feedback client, or null when the collector's script could not be loaded: the page then works without it. */
export function feedbackClient(kind) {
  if (!window.Thumbwheel) {
    document.getElementById("notice").textContent = texts.no_sdk;
    return null;
  }
  const actor = { id: `${kind}-${page.visitor}`, kind };
  return window.Thumbwheel.init({ url: page.collector, key: page.key, actor });
}

export class Problem extends Error {
  constructor(code) {
    super(texts[code] ?? texts.gateway_error);
    this.name = "Problem";
  }
}

export async function post(path, body, signal) {
  let response;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Problem("network");
  }
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  throw new Problem(answer.error?.code ?? "gateway_error");
}

/** An element with properties and children; strings become text, never markup. */
export function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** JSON kept in this browser; `fallback` where there is none, or storage is forbidden. */
export function stored(name, fallback) {
  try {
    return JSON.parse(localStorage.getItem(name)) ?? fallback;
  } catch {
    return fallback;
  }
}

export function store(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
  } catch {
    // Storage is full or forbidden: the page keeps its state until it is closed.
  }
}
