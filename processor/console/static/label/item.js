// One item on the page: the conversation left, the replies, the questions right; which question is in hand.

import { el, fill, plain, worded } from "./dom.js";
import { ask } from "./questions.js";

// `data` as the work API gives it; a draft goes on where it stopped.
export function newItem(data) {
  const draft = data.draft ?? {};
  return {
    data, values: { ...(draft.answers ?? {}) }, comment: draft.comment ?? "", at: 0, touched: false,
    activeMs: draft.active_ms ?? 0, restored: Boolean(data.draft),
  };
}

export function draftOf(item) {
  return { answers: item.values, comment: item.comment, active_ms: item.activeMs };
}

export function show(item, page, { words, lang, changed }) {
  page.messages.replaceChildren(...item.data.messages.map((message) => el(
    "div", { class: message.role === "user" ? "message from-user" : "message" },
    el("p", { class: "role" }, words[message.role] ?? message.role),
    el("div", { class: "said" }, plain(message.content, words.no_text)),
  )));
  page.replies.replaceChildren(...item.data.candidates.map((reply, n) => el(
    "article", { class: "reply card", "aria-label": fill(words.reply, { n: n + 1 }) },
    el("p", { class: "role" }, fill(words.reply, { n: n + 1 })),
    el("div", { class: "said" }, plain(reply.content, words.no_text)),
  )));
  const all = item.data.questions.length;
  const asked = item.data.questions.map((question) => ask(question, { item, words, lang, changed }));
  page.questions.replaceChildren(...asked.map((each, n) => {
    const title = worded(each.question.title, lang, each.question.path);
    const about = worded(each.question.description, lang);
    return el(
      "li", { class: "question", tabindex: "-1" },
      el("fieldset", { class: "asked" },
        el("legend", {}, title, each.question.required ? el("span", { class: "badge warn" }, words.required) : null,
           el("span", { class: "visually-hidden" }, fill(words.position, { n: n + 1, all }))),
        about ? el("p", { class: "muted small" }, about) : null, each.node),
    );
  }));
  if (!all) page.questions.replaceChildren(el("li", { class: "muted" }, words.no_question));
  page.comment.value = item.comment;
  page.note.hidden = !item.comment;
  return asked;
}

// Mark the question in hand and, with `focus`, go to its first control.
export function turnTo(page, asked, item, n, focus) {
  item.at = Math.max(0, Math.min(asked.length - 1, n));
  [...page.questions.children].forEach((node, at) => {
    if (at === item.at) node.setAttribute("aria-current", "step");
    else node.removeAttribute("aria-current");
  });
  const node = page.questions.children[item.at];
  if (focus && node) {
    // Not into a text that is written: the next key would be typed, and E goes there.
    const first = node.querySelector("input:checked, [aria-pressed=true]")
      ?? node.querySelector("input, [data-span], textarea, button");
    (first?.matches("textarea:not([data-span])") ? node : first ?? node).focus();
    node.scrollIntoView({ block: "nearest" });
  }
}

export function missing(item) {
  return item.data.questions.findIndex((question) => question.required && !(question.path in item.values));
}

// Fill the guideline's drawer once, and go there.
export async function guide(page, server, words, lang) {
  page.guideline.focus();
  if (page["guideline-text"].childElementCount) return;
  const { items } = await server.get("guideline");
  page["guideline-text"].replaceChildren(...(items.length ? items : [{}]).map(
    (one) => el("div", { class: "stack" }, ...written(worded(one, lang, words.no_guideline))),
  ));
}

// Markdown as far as a guideline needs it to be read: headings and paragraphs; the rest as it was written.
function written(text) {
  return text.split(/\n{2,}/).map((block) => {
    const heading = /^#{1,6} +(.*)/.exec(block);
    return heading ? el("h3", {}, heading[1]) : el("p", { class: "said" }, block);
  });
}
