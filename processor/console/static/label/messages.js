// What the page says: what happened quietly, what went wrong where it went wrong.

import { el, fill, worded } from "./dom.js";

export function messages(page, words, lang, current) {
  let mine = 0;
  const complain = (text) => page.alert.replaceChildren(el("p", { class: "problem" }, text));
  const told = () => { page.progress.textContent = fill(words.mine, { n: mine }); };
  return {
    complain,
    quiet: () => page.alert.replaceChildren(),
    say: (text, ...more) => page.status.replaceChildren(text, ...more),
    waiting: (count, error) => complain(error.status === 401 ? words.closed_session : fill(words.sending, { n: count })),
    // A refusal of the work API in the reader's words.
    reason(error) {
      const path = error.field?.replace(/^answers\./, "");
      const question = current()?.data.questions.find((each) => each.path === path);
      const title = question ? worded(question.title, lang, path) : path;
      if (error.status === 401) return words.closed_session;
      if (error.code in words) return fill(words[error.code], { title });
      return `${words.refused} ${lang === "en" ? error.message : error.code}`;
    },
    // How many answers are the person's own.
    count: {
      is: (n) => { mine = n; told(); },
      add: (n) => { mine = Math.max(0, mine + n); told(); },
    },
  };
}
