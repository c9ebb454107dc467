// One question each: how it looks, what an answer is, which keys it takes. An answer that is undefined is none.

import { el, fill, worded } from "./dom.js";
import { ranking } from "./ranking.js";
import { spans } from "./spans.js";

const KINDS = { choice: one, bool: one, rating: one, multi: several, text: written, correction: written,
                pairwise, ranking, span: spans };

// `context`: {item, words, lang, changed()}; returns {node, question, key(event), pick(n), write()}.
export function ask(question, context) {
  const made = KINDS[question.kind](question, context);
  return { question, key: () => false, pick: () => false, write: () => false, tie: () => false, none: () => false,
           strength: () => false, ...made };
}

function answer(question, { item, changed }, value) {
  if (value === undefined) delete item.values[question.path];
  else item.values[question.path] = value;
  changed();
}

// What is offered, as [value, text, key].
function offered(question, { words, lang }) {
  if (question.kind === "bool") return [[true, words.yes], [false, words.no]];
  if (question.kind !== "rating") return question.choices.map((c) => [c.key, worded(c.title, lang, c.key), c.shortcut]);
  const step = question.step || 1;
  const count = Math.min(101, Math.floor((question.max - question.min) / step + 1e-9) + 1);
  return Array.from({ length: count }, (_, n) => {
    const value = Number((question.min + n * step).toFixed(10));
    return [value, String(value)];
  });
}

function option(kind, group, index, text, given) {
  const input = el("input", { type: kind, name: group, ...given });
  const number = index < 8 ? el("kbd", { "aria-hidden": "true" }, String(index + 1)) : null;
  return { input, node: el("label", { class: "option" }, input, number, el("span", {}, text)) };
}

function one(question, context) {
  const { item } = context;
  const all = offered(question, context);
  const made = all.map(([value, text], n) => option("radio", question.path, n, text, {
    checked: item.values[question.path] === value,
    onchange: () => answer(question, context, value),
  }));
  const pick = (n) => {
    if (!made[n]) return false;
    made[n].input.checked = true;
    made[n].input.focus();
    answer(question, context, all[n][0]);
    return "next";
  };
  return {
    node: el("div", { class: question.kind === "rating" ? "options scale-options" : "options" }, ...made.map((m) => m.node)),
    pick,
    key: (event) => {
      const n = all.findIndex((each) => each[2] && each[2] === event.key);
      return n >= 0 && pick(n);
    },
  };
}

function several(question, context) {
  const { item } = context;
  const all = offered(question, context);
  const chosen = new Set(item.values[question.path] ?? []);
  const made = all.map(([value, text], n) => option("checkbox", question.path, n, text, {
    checked: chosen.has(value),
    onchange: (event) => set(value, event.target.checked),
  }));
  function set(value, on) {
    if (on) chosen.add(value); else chosen.delete(value);
    answer(question, context, all.map(([key]) => key).filter((key) => chosen.has(key)));
  }
  const pick = (n) => {
    if (!made[n]) return false;
    made[n].input.checked = !made[n].input.checked;
    made[n].input.focus();
    set(all[n][0], made[n].input.checked);
    return true;
  };
  return {
    node: el("div", { class: "options" }, ...made.map((m) => m.node)),
    pick,
    // None of them is an answer, too.
    none: () => {
      for (const each of made) each.input.checked = false;
      chosen.clear();
      answer(question, context, []);
      return true;
    },
    key: (event) => {
      const n = all.findIndex((each) => each[2] && each[2] === event.key);
      return n >= 0 && pick(n);
    },
  };
}

function written(question, context) {
  const { item, words, lang } = context;
  const given = item.values[question.path];
  const only = item.data.candidates.length === 1 ? item.data.candidates[0].content : "";
  const start = question.kind === "correction" && typeof only === "string" ? only : "";
  const area = el("textarea", {
    rows: question.kind === "correction" ? 8 : 3, value: given ?? start,
    "aria-label": worded(question.title, lang, words.your_text),
    oninput: () => {
      const text = area.value;
      answer(question, context, text.trim() && text !== start ? text : undefined);
    },
  });
  return { node: el("div", { class: "written" }, area), write: () => { area.focus(); return true; } };
}

function pairwise(question, context) {
  const { item, words } = context;
  const replies = item.data.candidates;
  const now = () => item.values[question.path];
  const set = (value) => { answer(question, context, value); paint(); };
  const reply = replies.map((each, n) => option("radio", question.path, n, fill(words.reply, { n: n + 1 }), {
    onchange: () => prefer(n),
  }));
  const tie = option("radio", question.path, 8, words.tie, { onchange: () => set({ outcome: "tie" }) });
  const none = option("radio", question.path, 8, words.none_good, { onchange: () => set({ outcome: "none" }) });
  tie.input.after(el("kbd", { "aria-hidden": "true" }, "T"));
  none.input.after(el("kbd", { "aria-hidden": "true" }, "B"));
  const strengths = [1, 2, 3].map((n) => {
    const made = option("radio", `${question.path} strength`, 8, words[`strength_${n}`], { onchange: () => strong(n) });
    made.input.after(el("kbd", { "aria-hidden": "true" }, `Shift ${n}`));
    return made;
  });
  const clearly = el("fieldset", { class: "options strength" }, el("legend", {}, words.strength),
                     ...strengths.map((s) => s.node));
  function prefer(n) {
    const held = now();
    const strength = held?.strength ? { strength: held.strength } : {};
    set({ outcome: "chosen", chosen: replies[n].candidate_id, ...strength });
  }
  function strong(n) {
    if (now()?.outcome !== "chosen") return false;
    set({ ...now(), strength: n });
    return true;
  }
  function paint() {
    const held = now();
    reply.forEach((each, n) => { each.input.checked = held?.chosen === replies[n].candidate_id; });
    tie.input.checked = held?.outcome === "tie";
    none.input.checked = held?.outcome === "none";
    clearly.disabled = held?.outcome !== "chosen";
    strengths.forEach((each, n) => { each.input.checked = held?.strength === n + 1; });
  }
  paint();
  const all = [...reply, tie, none];
  return {
    node: el("div", {}, el("div", { class: "options" }, ...all.map((each) => each.node)), clearly),
    pick: (n) => { if (!reply[n]) return false; prefer(n); reply[n].input.focus(); return true; },
    tie: () => { set({ outcome: "tie" }); tie.input.focus(); return true; },
    none: () => { set({ outcome: "none" }); none.input.focus(); return true; },
    strength: strong,
  };
}
