/** The chat: a conversation kept in this browser, answers streamed from the backend, feedback through the elements. */
import { element, feedbackClient, page, post, Problem, say, store, stored, texts } from "./page.js";

const STATE = "harbour.chat";
const log = document.getElementById("log");
const composer = document.getElementById("composer");
const message = document.getElementById("message");
const always = document.getElementById("two");
const stopButton = document.getElementById("stop");

const client = feedbackClient("user");
let state = load();
let running = null;

/**
 * {conversation_id, two, turns: [{user, kind: "one"|"two", interaction, text, end: "done"|"stopped"|"failed", vote}]}
 * `interaction` has the form of /v1/candidates; `text` is the answer the conversation goes on with.
 */
function load() {
  const random = crypto.getRandomValues(new Uint8Array(12));
  const conversation_id = Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const fresh = { conversation_id, two: false, turns: [] };
  const kept = stored(STATE, null);
  if (kept?.visitor !== page.visitor) return fresh;
  for (const turn of kept.turns) turn.end ??= "stopped";
  return kept;
}

function save() {
  store(STATE, { ...state, visitor: page.visitor });
}

/** The conversation up to and with the question of `last`. */
function messages(last) {
  return state.turns.slice(0, state.turns.indexOf(last) + 1).flatMap((turn) => [
    { role: "user", content: turn.user },
    ...(turn.text ? [{ role: "assistant", content: turn.text.slice(0, 4000) }] : []),
  ]);
}

// -- showing

function show() {
  document.getElementById("empty").hidden = state.turns.length > 0;
  document.getElementById("new").hidden = state.turns.length === 0;
  log.replaceChildren(...state.turns.flatMap((turn) => [asked(turn), answered(turn)]));
  scroll();
}

function asked(turn) {
  return element("article", { className: "message user", ariaLabel: texts.you }, element("div", { className: "text", dir: "auto", textContent: turn.user }));
}

/** The answer of a turn as it stands: an article that is built anew when the turn ends. */
function answered(turn) {
  const article = element("article", { className: "message assistant", ariaLabel: texts.assistant });
  fill(article, turn);
  return article;
}

function fill(article, turn) {
  article.classList.toggle("wide", turn.kind === "two" && !turn.settled);
  article.ariaBusy = String(!turn.end);
  if (!turn.end) article.replaceChildren(writing(turn));
  else if (turn.kind === "two" && turn.interaction && !turn.settled) article.replaceChildren(choice(article, turn));
  else article.replaceChildren(...ended(article, turn));
}

function writing(turn) {
  if (turn.text) return element("div", { className: "text writing", dir: "auto", textContent: turn.text });
  const label = turn.kind === "two" ? texts.thinking_two : texts.thinking;
  return element("p", { className: "thinking" }, element("span", { className: "dots", ariaHidden: "true" }), label);
}

function ended(article, turn) {
  const parts = [];
  if (turn.text) parts.push(element("div", { className: "text", dir: "auto", textContent: turn.text }));
  if (turn.end === "stopped") parts.push(element("p", { className: "muted", textContent: texts.stopped }));
  if (turn.end === "failed") {
    const retry = element("button", { type: "button", textContent: texts.retry });
    retry.addEventListener("click", () => void answer(turn, article));
    retry.disabled = running !== null;
    parts.push(element("div", { className: "problem", role: "alert" }, element("p", { textContent: turn.problem ?? texts.network }), retry));
  }
  if (turn.text && turn.interaction && client) parts.push(thumbs(turn));
  return parts;
}

function thumbs(turn) {
  const thumb = document.createElement("thumbwheel-thumbs");
  thumb.client = client;
  thumb.interaction = { ...turn.interaction, conversation_id: state.conversation_id };
  if (turn.chosen) thumb.setAttribute("candidate-id", turn.chosen);
  thumb.vote = turn.vote ?? null;
  thumb.addEventListener("thumbwheel-submit", (event) => remember(turn, event.detail.event.value));
  thumb.addEventListener("thumbwheel-undo", () => remember(turn, null));
  return thumb;
}

function remember(turn, vote) {
  turn.vote = vote;
  save();
}

function choice(article, turn) {
  const { candidates } = turn.interaction;
  turn.text ??= candidates[0].content;
  if (!client) {
    turn.settled = true;
    return element("div", { className: "text", dir: "auto", textContent: turn.text });
  }
  const chooser = document.createElement("thumbwheel-choice");
  chooser.setAttribute("heading", texts.choice_heading);
  chooser.client = client;
  chooser.interaction = { ...turn.interaction, conversation_id: state.conversation_id };
  chooser.addEventListener("thumbwheel-submit", (event) => {
    const chosen = event.detail.event.chosen ?? candidates[0].candidate_id;
    Object.assign(turn, { chosen, text: candidates.find((one) => one.candidate_id === chosen).content, settled: true });
    save();
  });
  chooser.addEventListener("thumbwheel-undo", () => {
    Object.assign(turn, { chosen: undefined, text: candidates[0].content, settled: false });
    save();
  });
  return chooser;
}

function scroll() {
  const end = document.scrollingElement;
  end.scrollTop = end.scrollHeight;
}

function nearEnd() {
  const end = document.scrollingElement;
  return end.scrollHeight - end.scrollTop - end.clientHeight < 160;
}

// -- asking

function ask(text) {
  if (running || !text.trim()) return;
  const two = always.checked || state.turns.length % 3 === 2;
  const turn = { user: text.trim(), kind: two ? "two" : "one" };
  state.turns.push(turn);
  document.getElementById("empty").hidden = true;
  document.getElementById("new").hidden = false;
  const article = answered(turn);
  log.append(asked(turn), article);
  scroll();
  void answer(turn, article);
}

async function answer(turn, article) {
  running = new AbortController();
  // Another answer is on its way: what was thought of the one before is no vote on it.
  const before = ["end", "text", "interaction", "problem", "vote", "chosen", "settled"];
  for (const name of before) turn[name] = undefined;
  setRunning(true);
  fill(article, turn);
  const body = { messages: messages(turn), conversation_id: state.conversation_id };
  try {
    if (turn.kind === "two") turn.interaction = await (await post("/chat/two", body, running.signal)).json();
    else await stream(turn, article, body);
    turn.end = "done";
  } catch (error) {
    turn.end = running.signal.aborted ? "stopped" : "failed";
    if (turn.end === "failed") turn.problem = error instanceof Problem ? error.message : texts.network;
  }
  running = null;
  setRunning(false);
  if (turn.interaction?.candidates && turn.kind === "one") turn.interaction.candidates[0].content = turn.text ?? "";
  const follow = nearEnd();
  fill(article, turn);
  save();
  if (follow) scroll();
}

async function stream(turn, article, body) {
  const response = await post("/chat/stream", body, running.signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  let finished = false;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    buffer += value;
    const events = buffer.split("\n\n");
    buffer = events.pop();
    for (const event of events) {
      const data = JSON.parse(event.slice("data: ".length));
      if (data.error) throw new Problem(data.error);
      if (data.interaction_id) {
        turn.interaction = { interaction_id: data.interaction_id, candidates: [{ candidate_id: data.candidate_id, content: "" }] };
      }
      if (data.delta) turn.text = (turn.text ?? "") + data.delta;
      finished ||= data.done === true;
    }
    const follow = nearEnd();
    article.replaceChildren(writing(turn));
    if (follow) scroll();
  }
  if (!finished) throw new Problem("network");
}

function setRunning(is) {
  stopButton.hidden = !is;
  document.getElementById("send").hidden = is;
}

// -- the composer

function grow() {
  message.style.height = "auto";
  message.style.height = `${Math.min(message.scrollHeight + 2, 200)}px`;
}

function submit() {
  if (running || !message.value.trim()) return;
  ask(message.value);
  message.value = "";
  grow();
}

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
message.addEventListener("input", grow);
message.addEventListener("keydown", (event) => {
  // An input method's Enter chooses characters; it does not send.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
  event.preventDefault();
  submit();
});
stopButton.addEventListener("click", () => running?.abort());
always.checked = state.two;
always.addEventListener("change", () => {
  state.two = always.checked;
  save();
});
document.getElementById("new").addEventListener("click", () => {
  running?.abort();
  store(STATE, null);
  state = { ...load(), two: always.checked };
  show();
  message.focus();
});
for (const button of document.querySelectorAll(".suggestions button")) {
  button.addEventListener("click", () => ask(button.textContent));
}
document.title = `${say("chat_title")} · ${say("product")}`;
show();
