// An order of replies, best first. Arrows choose one, Alt with arrows moves it, = ties it with the one above.

import { el, fill } from "./dom.js";

export function ranking(question, { item, words, changed }) {
  const replies = item.data.candidates.map((each) => each.candidate_id);
  const rows = start(item.values[question.path], replies);
  const list = el("ol", { class: "ranking" });
  let at = 0;

  function said() {
    const groups = [];
    for (const row of rows) {
      if (row.tied && groups.length) groups[groups.length - 1].push(row.id);
      else groups.push([row.id]);
    }
    item.values[question.path] = groups.map((group) => (group.length === 1 ? group[0] : group));
    changed();
  }

  function paint(focus) {
    list.replaceChildren(...rows.map((row, n) => {
      const name = fill(words.reply, { n: replies.indexOf(row.id) + 1 });
      const button = el("button", {
        type: "button", class: n === at ? "place on" : "place", "aria-pressed": String(n === at),
        onclick: () => { at = n; paint(true); },
      }, name, row.tied ? el("span", { class: "badge" }, words.tied) : null);
      const moves = [["↑", words.move_up, () => move(-1)], ["↓", words.move_down, () => move(1)], ["=", words.tie_above, tie]];
      const own = moves.map(([sign, what, act]) => el("button", {
        type: "button", class: "quiet", "aria-label": `${what}: ${name}`, onclick: () => { at = n; act(); },
      }, sign));
      return el("li", {}, button, el("span", { class: "moves" }, ...own));
    }));
    if (focus) list.children[at].querySelector("button").focus();
  }

  function move(by) {
    const to = at + by;
    if (to >= 0 && to < rows.length) {
      [rows[at], rows[to]] = [rows[to], rows[at]];
      at = to;
    }
    rows[0].tied = false;
    paint(true);
    said();
  }

  function tie() {
    if (at > 0) rows[at].tied = !rows[at].tied;
    paint(true);
    said();
  }

  paint(false);
  return {
    node: list,
    pick: (n) => {
      const found = rows.findIndex((row) => row.id === replies[n]);
      if (found < 0) return false;
      at = found;
      paint(true);
      said();
      return true;
    },
    key: (event) => {
      if (event.key === "ArrowUp" || event.key === "ArrowDown") {
        const by = event.key === "ArrowUp" ? -1 : 1;
        if (event.altKey) move(by);
        else {
          at = Math.max(0, Math.min(rows.length - 1, at + by));
          paint(true);
          said();
        }
        return true;
      }
      if (event.key === "=") {
        tie();
        return true;
      }
      return false;
    },
  };
}

function start(value, replies) {
  const rows = [];
  for (const group of value ?? []) {
    [group].flat().forEach((id, n) => { if (replies.includes(id)) rows.push({ id, tied: n > 0 }); });
  }
  return rows.length === replies.length ? rows : replies.map((id) => ({ id, tied: false }));
}
