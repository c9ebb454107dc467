// Stretches of a reply: select in its text with Shift and the arrows, Enter marks. Nothing can be typed into it.

import { codePoints, el, fill, plain, worded } from "./dom.js";

export function spans(question, { item, words, lang, changed }) {
  const marks = [...(item.values[question.path] ?? [])];
  const list = el("ul", { class: "marks" });
  const problem = el("p", { class: "muted", "aria-live": "polite" }, words.span_hint);
  const areas = item.data.candidates.map((each, n) => {
    const text = plain(each.content, "");
    const area = el("textarea", {
      "data-span": each.candidate_id, value: text, rows: Math.min(8, 2 + Math.ceil(text.length / 60)), spellcheck: "false",
      "aria-label": `${worded(question.title, lang, question.path)}: ${fill(words.reply, { n: n + 1 })}`,
      onbeforeinput: (event) => event.preventDefault(),
      // An input method writes in spite of it.
      oninput: () => { area.value = text; },
    });
    return area;
  });

  function said() {
    if (marks.length) item.values[question.path] = marks.map((mark) => ({ ...mark }));
    else delete item.values[question.path];
    changed();
  }

  function paint() {
    list.replaceChildren(...marks.map((mark, n) => el("li", {}, el("mark", {}, mark.text), " ", el("button", {
      type: "button", class: "quiet", "aria-label": fill(words.unmark, { text: mark.text }),
      onclick: () => { marks.splice(n, 1); paint(); said(); areas[0].focus(); },
    }, "×"))));
    if (!marks.length) list.append(el("li", { class: "muted" }, words.nothing_marked));
  }

  function mark(area) {
    const { selectionStart: from, selectionEnd: to, value } = area;
    if (from === to) {
      problem.textContent = words.nothing_selected;
      return;
    }
    const start = codePoints(value, from);
    const text = value.slice(from, to);
    const found = { path: question.path, candidate_id: area.dataset.span, start, end: start + Array.from(text).length, text };
    if (!marks.some((each) => each.start === found.start && each.end === found.end && each.candidate_id === found.candidate_id)) {
      marks.push(found);
    }
    problem.textContent = words.span_hint;
    paint();
    said();
  }

  paint();
  const held = () => areas.find((area) => area === document.activeElement) ?? areas[0];
  return {
    node: el("div", { class: "written" }, ...areas, problem, el("button", {
      type: "button", onmousedown: (event) => event.preventDefault(), onclick: () => mark(held()),
    }, words.mark, " ", el("kbd", { "aria-hidden": "true" }, "↵")), list),
    write: () => { areas[0].focus(); return true; },
    pick: (n) => { if (!areas[n]) return false; areas[n].focus(); return true; },
    key: (event) => {
      if (event.key !== "Enter" || !event.target.dataset?.span) return false;
      mark(event.target);
      return true;
    },
  };
}
