/** The workbench: which question is next, its replies loaded before they are needed, and what was sent. */
import { element, feedbackClient, page, post, say, store, stored, texts } from "./page.js";

const STATE = "harbour.workbench";
const bench = document.getElementById("workbench");
const notice = document.getElementById("notice");

const client = feedbackClient("agent");
const loading = new Map();
let questions = [];
/** {at: index of the question on screen, sent: [...], ready: {question id: replies not yet used}} */
let state = { at: 0, sent: [], ready: {} };

const isSent = (question) => state.sent.some((item) => item.question_id === question.id);
const current = () => questions[state.at];
const open = () => questions.filter((question) => !isSent(question));

function save() {
  store(STATE, { ...state, visitor: page.visitor });
}

/** The next open question after `from`, going round; null when all are answered. */
function following(from, step = 1) {
  for (let n = 1; n <= questions.length; n++) {
    const at = (from + step * n + questions.length * n) % questions.length;
    if (!isSent(questions[at])) return at;
  }
  return null;
}

/** The four replies to a question, asked for once. */
function replies(question) {
  if (state.ready[question.id]) return Promise.resolve(state.ready[question.id]);
  if (!loading.has(question.id)) {
    const asked = post("/workbench/replies", { question_id: question.id })
      .then((response) => response.json())
      .then((interaction) => {
        state.ready[question.id] = { ...interaction, conversation_id: `ticket-${question.id}` };
        save();
        return state.ready[question.id];
      })
      .finally(() => loading.delete(question.id));
    loading.set(question.id, asked);
  }
  return loading.get(question.id);
}

// -- the question on screen

async function show() {
  const question = current();
  save();
  showProgress();
  document.getElementById("question").hidden = !question;
  notice.replaceChildren();
  if (!question) {
    bench.removeAttribute("loading");
    bench.interaction = null;
    return;
  }
  document.getElementById("subject").textContent = question.subject;
  document.getElementById("customer").textContent = `${texts.from_customer}: ${question.customer}`;
  document.getElementById("text").textContent = question.text;
  if (!state.ready[question.id]) {
    bench.setAttribute("loading", "");
    bench.interaction = null;
  }
  try {
    const interaction = await replies(question);
    if (current() !== question || isSent(question)) return;
    bench.interaction = interaction;
    bench.removeAttribute("loading");
    preload();
  } catch (error) {
    if (current() === question) complain(error);
  }
}

function preload() {
  const next = following(state.at);
  if (next === null || next === state.at) return;
  // A failure shows when the question's own turn comes.
  replies(questions[next]).catch(() => undefined);
}

function complain(error) {
  const retry = element("button", { type: "button", textContent: texts.retry });
  retry.addEventListener("click", () => void show());
  notice.replaceChildren(element("span", { textContent: error.message }), retry);
}

function showProgress() {
  const left = open().length;
  const total = questions.length;
  document.getElementById("position").textContent = current() ? say("question_of", { n: state.at + 1, total }) : "";
  document.getElementById("left").textContent = say("remaining", { n: left });
  document.getElementById("bar").max = total || 1;
  document.getElementById("bar").value = total - left;
}

// -- what was sent

function showSent() {
  document.getElementById("sent-empty").hidden = state.sent.length > 0;
  const items = [...state.sent].reverse().map(sentItem);
  document.getElementById("sent").replaceChildren(...items);
}

function sentItem(item) {
  const question = questions.find((one) => one.id === item.question_id);
  const notes = [item.outcome === "none" && item.text && texts.own_reply, item.edited && texts.edited, !item.text && texts.no_reply];
  return element(
    "li",
    {},
    element("p", { className: "meta", textContent: [question?.subject, ...notes.filter(Boolean)].join(" · ") }),
    element("p", { className: "text", dir: "auto", textContent: item.text }),
    item.candidate_id && !item.edited ? reaction(item) : null,
  );
}

/** Stands for a ticket system, which would tell the backend what became of the reply. */
function reaction(item) {
  const buttons = ["up", "down"].map((value) => {
    const label = value === "up" ? texts.solved : texts.not_solved;
    const button = element("button", { type: "button", className: "quiet", textContent: label, ariaPressed: String(item.reaction === value) });
    button.addEventListener("click", () => void react(item, value));
    return button;
  });
  return element("div", { className: "reaction", role: "group", ariaLabel: texts.customer_said }, ...buttons);
}

async function react(item, value) {
  const { question_id, interaction_id, candidate_id } = item;
  try {
    await post("/workbench/reaction", { question_id, interaction_id, candidate_id, value });
    item.reaction = value;
    save();
    showSent();
  } catch (error) {
    complain(error);
  }
}

bench.addEventListener("thumbwheel-submit", ({ detail }) => {
  const { event, text } = detail;
  const question = current();
  state.sent.push({
    question_id: question.id, interaction_id: event.interaction_id, candidate_id: event.chosen,
    outcome: event.outcome, edited: event.outcome !== "none" && "edited_text" in event, text: text.trim(),
  });
  delete state.ready[question.id];
  state.at = following(state.at) ?? questions.length;
  showSent();
  void show();
});

bench.addEventListener("thumbwheel-undo", ({ detail }) => {
  const at = state.sent.findIndex((item) => item.interaction_id === detail.event.interaction_id);
  if (at < 0) return;
  const [item] = state.sent.splice(at, 1);
  state.ready[item.question_id] = detail.interaction;
  state.at = questions.findIndex((question) => question.id === item.question_id);
  showSent();
  void show();
});

for (const [name, step] of [["thumbwheel-skip", 1], ["thumbwheel-back", -1]]) {
  bench.addEventListener(name, () => {
    const at = following(state.at, step);
    if (at === null || at === state.at) return;
    state.at = at;
    void show();
  });
}

document.getElementById("again").addEventListener("click", () => {
  state = { at: 0, sent: [], ready: {} };
  showSent();
  void show();
});

async function start() {
  try {
    questions = (await (await fetch("/workbench/questions")).json()).questions;
  } catch {
    complain(new Error(texts.network));
    return;
  }
  const kept = stored(STATE, null);
  if (kept?.visitor === page.visitor) state = kept;
  if (current() && isSent(current())) state.at = following(state.at) ?? questions.length;
  bench.client = client;
  showSent();
  await show();
}

void start();
