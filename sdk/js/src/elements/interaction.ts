/** What an element shows: the JSON of `POST /v1/candidates`, or a chat completion's ids and texts. */
import type { Candidate, Content, ContentPart, Message } from "../wire.js";
import { h } from "./dom.js";

export interface Shown {
  interaction_id: string;
  candidates: Candidate[];
  conversation_id?: string;
  /** The campaign that asks for this feedback. */
  campaign?: string;
  messages?: Message[];
}

interface Completion {
  id: string;
  choices: { candidate_id?: string; message?: { content?: Content } }[];
}

/** Reads either form; null when there is nothing to show. */
export function readInteraction(value: unknown): Shown | null {
  if (!value || typeof value !== "object") return null;
  if ("choices" in value) {
    const { id, choices } = value as Completion;
    const candidates = choices.map((choice, i) => ({
      candidate_id: choice.candidate_id ?? `${id}.${i}`,
      content: choice.message?.content ?? "",
    }));
    return { interaction_id: id, candidates };
  }
  const shown = value as Shown;
  return shown.interaction_id && Array.isArray(shown.candidates) ? shown : null;
}

/** The text of a content; images count for nothing. */
export function plainText(content: Content | undefined): string {
  if (typeof content === "string") return content;
  return (content ?? []).map((part) => part.text ?? "").join("");
}

function imageUrl(part: ContentPart): string {
  const url = typeof part.image_url === "string" ? part.image_url : (part.image_url?.url ?? part.url ?? "");
  return /^(https?:|blob:|data:image\/)/i.test(url) || /^\/(?!\/)/.test(url) ? url : "";
}

/** Nodes for a content. `broken` is said in place of an image that cannot be loaded. */
export function contentNodes(content: Content | undefined, alt: string, broken: string): Node[] {
  if (!Array.isArray(content)) return [h("div", { class: "text", dir: "auto", part: "text" }, plainText(content))];
  return content.map((part) => {
    if (typeof part.text === "string") return h("div", { class: "text", dir: "auto", part: "text" }, part.text);
    const missing = (): HTMLElement => h("div", { class: "broken", part: "broken-image" }, broken);
    const url = imageUrl(part);
    if (!url) return missing();
    const image = h("img", { src: url, alt: part.alt ?? alt, part: "image" });
    image.addEventListener("error", () => image.replaceWith(missing()), { once: true });
    return image;
  });
}
