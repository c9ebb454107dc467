// A page that a server rendered, hydrated under StrictMode: what the wrapper adds to the tag.
import { ThumbwheelChoice, ThumbwheelThumbs } from "@thumbwheel/sdk/react";
import { createElement as h, StrictMode, useRef, useState, version } from "react";
import { hydrateRoot } from "react-dom/client";

function Page() {
  const [turn, setTurn] = useState(1);
  const [heard, setHeard] = useState("");
  const [sibling, setSibling] = useState("c-2");
  const choice = useRef(null);
  const interaction = { interaction_id: `i-${turn}`, candidates: [{ candidate_id: "c-1" }, { candidate_id: "c-2" }] };
  const onSubmit = (event) => {
    event.preventDefault();
    const { type, interaction_id, candidate_id, chosen } = event.detail.event;
    setHeard((before) => `${before}[${turn} ${type} ${interaction_id} ${candidate_id ?? chosen}]`);
  };
  const onUndo = (event) => {
    event.preventDefault();
    setHeard((before) => `${before}[${turn} undo ${event.detail.interaction.interaction_id}]`);
  };
  const given = { interaction, candidateId: sibling, vote: "down", onSubmit, onUndo };
  const props = { className: "mine", hidden: false, ...given };
  return h(
    "main",
    {},
    turn < 3 && h(ThumbwheelThumbs, props),
    turn < 3 && h(ThumbwheelChoice, { ref: choice, interaction, onSubmit, onUndo }),
    h("button", { onClick: () => setTurn(2) }, "Next"),
    h("button", { onClick: () => setHeard((before) => `${before}[again]`) }, "Again"),
    h("button", { onClick: () => choice.current.focus() }, "Focus"),
    h("button", { onClick: () => setSibling("c-1") }, "Sibling"),
    h("button", { onClick: () => setTurn(3) }, "Leave"),
    h("output", {}, heard),
  );
}

document.title = version;
hydrateRoot(document.getElementById("app"), h(StrictMode, {}, h(Page)));
