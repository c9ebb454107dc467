import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { createElement } from "react";
import { renderToString } from "react-dom/server.browser";
import { ThumbwheelChoice, ThumbwheelThumbs, ThumbwheelWorkbench } from "../src/react.js";

const interaction = { interaction_id: "i-1", candidates: [{ candidate_id: "c-1", content: "Hello" }] };

test("on a server a component is its tag with what may stand on it, and React has nothing to say", () => {
  const error = mock.method(console, "error", () => undefined);
  const onSubmit = (): void => assert.fail("nothing is submitted on a server");
  const thumbs = createElement(ThumbwheelThumbs, {
    interaction, onSubmit, vote: "up", candidateId: "c-1", undoSeconds: 5, className: "mine", lang: "zh-CN",
  });
  assert.equal(
    renderToString(thumbs),
    '<thumbwheel-thumbs lang="zh-CN" class="mine" candidate-id="c-1" undo-seconds="5"></thumbwheel-thumbs>',
  );
  assert.equal(
    renderToString(createElement(ThumbwheelWorkbench, { interaction: null, loading: true, autoFocus: true, hidden: false }, "Nothing to do")),
    '<thumbwheel-workbench loading="" autofocus="">Nothing to do</thumbwheel-workbench>',
  );
  assert.equal(
    renderToString(createElement(ThumbwheelChoice, { interaction, heading: "Which one?" })),
    '<thumbwheel-choice heading="Which one?"></thumbwheel-choice>',
  );
  assert.equal(error.mock.callCount(), 0);
  error.mock.restore();
});
