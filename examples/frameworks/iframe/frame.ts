import { defineElements } from "@thumbwheel/sdk/elements";
import { client, told } from "../feedback";

defineElements();
addEventListener("message", ({ data, source }) => {
  if (source !== parent) return;
  Object.assign(document.querySelector("thumbwheel-thumbs")!, { client, interaction: data.answer });
  Object.assign(document.querySelector("thumbwheel-choice")!, { client, interaction: data.pair });
  Object.assign(document.querySelector("thumbwheel-workbench")!, { client, interaction: data.replies });
});
for (const name of ["thumbwheel-submit", "thumbwheel-undo", "thumbwheel-error"] as const) {
  document.body.addEventListener(name, (event) => parent.postMessage(told(event), "*"));
}
parent.postMessage("ready", "*");
