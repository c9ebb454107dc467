// The annotator's page: shows an item, keeps its draft, sends what was answered, and has the next one ready before.

import { el, fill, worded } from "./dom.js";
import { draftOf, guide, missing, newItem, show, turnTo } from "./item.js";
import { listen } from "./keys.js";
import { messages } from "./messages.js";
import { Refused, api, outbox } from "./sending.js";

const DRAFT_MS = 1000;
const RENEW_MS = 15_000;
// A longer pause is none spent on the item.
const PAUSE_MS = 30_000;

const root = document.getElementById("label");
const { words, ...place } = JSON.parse(root.dataset.bench);
const lang = root.dataset.lang;
const find = (id) => document.getElementById(`label-${id}`);
const page = Object.fromEntries(
  ["title", "progress", "alert", "status", "empty", "item", "talk-title", "messages", "replies", "questions", "note",
   "comment", "guideline", "guideline-text", "skip", "skip-form", "keys", "single"].map((id) => [id, find(id)]),
);
const server = api(place, root.dataset.csrf);
const { say, complain, quiet, reason, waiting, count } = messages(page, words, lang, () => current);
const box = outbox(`thumbwheel.label.${place.project}.${place.task}.${place.person}`, server.post, taken, waiting);

let current = null;
let asked = [];
let ahead = null;
let last = null;
let loading = null;
let draftTimer = 0;
let activeAt = performance.now();
let renewedAt = activeAt;

// -- items

function begin(item) {
  current = item;
  page.empty.hidden = true;
  page.item.hidden = false;
  asked = show(item, page, { words, lang, changed });
  turnTo(page, asked, item, 0, false);
  page["talk-title"].focus({ preventScroll: true });
  scrollTo(0, 0);
  renewedAt = activeAt = performance.now();
  performance.mark("label-shown", { detail: item.data.interaction_id });
}

async function load() {
  const answer = await server.post("next", { have: [...box.tokens(), ...(current ? [current.data.token] : [])] });
  count.is(answer.mine);
  return answer;
}

// Show the next item; without one at hand wait for what is being sent, then ask.
async function advance() {
  if (ahead) {
    const item = ahead;
    ahead = null;
    begin(item);
    server.post("renew", { token: item.data.token }).then(({ held }) => {
      if (!held && current === item && !item.touched) return restart();
    }).catch(() => {});
    return;
  }
  current = null;
  page.item.hidden = true;
  await restart();
}

async function restart() {
  current = null;
  try {
    await loading;
    await box.flush();
    if (ahead) return void advance();
    const answer = await load();
    if (!answer.item) return void nothing(answer);
    begin(newItem(answer.item));
    if (current.restored) say(words.restored);
    preload();
  } catch (error) {
    complain(error instanceof Refused ? reason(error) : fill(words.sending, { n: 0 }));
    if (!(error instanceof Refused) || error.status >= 500) setTimeout(restart, DRAFT_MS);
  }
}

function preload() {
  if (loading || ahead || !current) return;
  loading = load().then((answer) => {
    if (answer.item && answer.item.token !== current?.data.token) ahead = newItem(answer.item);
  }).catch(() => {}).finally(() => { loading = null; });
}

function nothing(answer) {
  page.item.hidden = true;
  const text = answer.state === "open" ? (answer.others ? words.others : words.done) : words[answer.state];
  page.empty.replaceChildren(el("p", {}, text));
  if (answer.state === "open") {
    page.empty.append(el("p", {}, el("button", { type: "button", onclick: restart }, words.again)));
  }
  page.empty.hidden = false;
}

// -- drafts and activity

function changed() {
  quiet();
  current.touched = true;
  clearTimeout(draftTimer);
  draftTimer = setTimeout(save, DRAFT_MS);
}

async function save(more = {}) {
  clearTimeout(draftTimer);
  const item = current;
  if (!item?.touched) return;
  try {
    await server.post("draft", { token: item.data.token, draft: draftOf(item) }, more);
    renewedAt = performance.now();
    if (current === item && !page.status.querySelector("button")) say(words.draft_saved);
  } catch (error) {
    if (current !== item) return;
    say(error instanceof Refused && error.status < 500 ? reason(error) : words.draft_failed);
    if (!(error instanceof Refused) || error.status >= 500) draftTimer = setTimeout(save, DRAFT_MS);
  }
}

function active() {
  const now = performance.now();
  if (current && now - activeAt < PAUSE_MS) current.activeMs += Math.round(now - activeAt);
  activeAt = now;
  if (current && now - renewedAt > RENEW_MS) {
    renewedAt = now;
    server.post("renew", { token: current.data.token }).catch(() => {});
  }
}

// -- what a person does

function leave(what, body, told) {
  const item = current;
  const { token, interaction_id, unit, stage, round } = item.data;
  clearTimeout(draftTimer);
  quiet();
  item.sent = what;
  last = what === "postpone" ? null : item;
  const back = last && el("button", { type: "button", class: "quiet", onclick: () => undo() }, words.undo, " ", el("kbd", {}, "Ctrl Z"));
  say(told, " ", ...(back ? [back] : []));
  box.put(what, { token, item: { interaction_id, unit, stage, round }, active_ms: item.activeMs, ...body });
  advance();
  return true;
}

async function taken(entry, result, error) {
  if (error) {
    complain(reason(error));
    if (last?.data.token === entry.body.token && entry.what !== "postpone") {
      const item = last;
      if (current && !ahead) ahead = current;
      begin(item);
      complain(reason(error));
    }
    return;
  }
  if (result.state === "late") complain(words.late);
  if (entry.what === "submit") count.add(1);
  preload();
}

const acts = {
  submit() {
    if (!current) return false;
    if (!current.data.questions.length) return true;
    const open = missing(current);
    if (open >= 0) {
      const question = current.data.questions[open];
      turnTo(page, asked, current, open, true);
      complain(fill(words.answer_missing, { title: worded(question.title, lang, question.path) }));
      return true;
    }
    if (!Object.keys(current.values).length && !current.comment) {
      turnTo(page, asked, current, 0, true);
      complain(fill(words.answer_missing, { title: worded(current.data.questions[0].title, lang) }));
      return true;
    }
    return leave("submit", { answers: current.values, comment: current.comment || undefined }, words.submitted);
  },
  undo,
  question(act) {
    if (!current || !asked.length) return false;
    const done = act(asked[current.at]);
    if (done === "next" && current.at < asked.length - 1) turnTo(page, asked, current, current.at + 1, true);
    return Boolean(done);
  },
  turn(by) {
    if (current) turnTo(page, asked, current, current.at + by, true);
    return true;
  },
  // The text in hand, else the next question that takes one.
  write() {
    if (!current) return false;
    const order = [...asked.keys()].map((n) => (current.at + n) % asked.length);
    const n = order.find((at) => asked[at].write());
    if (n !== undefined) turnTo(page, asked, current, n, false);
    return true;
  },
  skip() {
    if (current) page.skip.showPopover();
    return true;
  },
  postpone() {
    if (!current) return false;
    save();
    return leave("postpone", {}, words.postponed);
  },
  note() {
    page.note.hidden = false;
    page.comment.focus();
    return true;
  },
  keys() {
    page.keys.togglePopover();
    return true;
  },
  guideline() {
    const open = page.guideline.hidden;
    page.guideline.hidden = !open;
    root.querySelector("[data-do=guideline]").setAttribute("aria-expanded", String(open));
    if (open) guide(page, server, words, lang);
    return true;
  },
  escape(target, typing) {
    if (!page.guideline.hidden && page.guideline.contains(target)) return acts.guideline();
    if (!typing && !target.matches?.("[data-span]")) return false;
    target.blur();
    page["talk-title"].focus({ preventScroll: true });
    return true;
  },
};

function undo() {
  const item = last;
  if (!item) {
    say(words.nothing_to_undo);
    return true;
  }
  last = null;
  (async () => {
    try {
      await save();
      await box.flush();
      const { item: data } = await server.post("undo", { token: item.data.token, draft: draftOf(item) });
      if (current) ahead = current;
      if (item.sent === "submit") count.add(-1);
      begin(newItem(data));
      say(words.taken_back);
    } catch (error) {
      last = item;
      complain(error instanceof Refused ? reason(error) : words.refused);
    }
  })();
  return true;
}

// -- the page

page.comment.addEventListener("input", () => {
  current.comment = page.comment.value;
  changed();
});
page["skip-form"].addEventListener("submit", (event) => {
  event.preventDefault();
  const text = new FormData(event.target).get("reason").trim();
  if (!text || !current) return;
  page.skip.hidePopover();
  event.target.reset();
  leave("skip", { reason: text }, words.skipped);
});
root.addEventListener("click", (event) => {
  const what = event.target.closest("[data-do]")?.dataset.do;
  if (["submit", "postpone", "note", "guideline"].includes(what)) acts[what]();
});
page.questions.addEventListener("focusin", (event) => {
  const n = [...page.questions.children].findIndex((node) => node.contains(event.target));
  if (current && n >= 0 && n !== current.at) turnTo(page, asked, current, n, false);
});
for (const kind of ["keydown", "pointerdown", "pointermove", "wheel"]) addEventListener(kind, active, { passive: true });
addEventListener("pagehide", () => save({ keepalive: true }));
addEventListener("beforeunload", (event) => { if (box.tokens().length) event.preventDefault(); });
const KEY = "thumbwheel.label.single";
page.single.checked = localStorage.getItem(KEY) !== "off";
page.single.addEventListener("change", () => localStorage.setItem(KEY, page.single.checked ? "on" : "off"));
listen(page, acts);
restart();
