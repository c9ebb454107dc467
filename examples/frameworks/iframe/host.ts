import { answer, pair, replies } from "../interactions";

const frame = document.querySelector("iframe")!;
const output = document.querySelector("output")!;

// The frame has no origin to name: what counts is which window speaks.
addEventListener("message", ({ data, source }) => {
  if (source !== frame.contentWindow) return;
  if (data === "ready") frame.contentWindow!.postMessage({ answer, pair, replies }, "*");
  else output.textContent = data;
});
