import { init, type FeedbackError, type FeedbackSubmit, type FeedbackUndo } from "@thumbwheel/sdk/elements";

export const client = init({
  url: import.meta.env.VITE_THUMBWHEEL_URL,
  key: import.meta.env.VITE_THUMBWHEEL_KEY,
  actor: "user-1",
});

/** One line about what an element told. */
export function told({ type, detail }: FeedbackSubmit | FeedbackUndo | FeedbackError): string {
  if ("error" in detail) return detail.error.message;
  return `${type === "thumbwheel-undo" ? "Taken back" : "Given"}: ${detail.event.type}`;
}
