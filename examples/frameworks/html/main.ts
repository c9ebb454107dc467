import { defineElements } from "@thumbwheel/sdk/elements";
import { client, told } from "../feedback";
import { answer, pair, replies } from "../interactions";

defineElements();
Object.assign(document.querySelector("thumbwheel-thumbs")!, { client, interaction: answer });
Object.assign(document.querySelector("thumbwheel-choice")!, { client, interaction: pair });
Object.assign(document.querySelector("thumbwheel-workbench")!, { client, interaction: replies });

const output = document.querySelector("output")!;
for (const name of ["thumbwheel-submit", "thumbwheel-undo", "thumbwheel-error"] as const) {
  document.body.addEventListener(name, (event) => (output.textContent = told(event)));
}
