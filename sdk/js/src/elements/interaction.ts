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

export interface Completion {
  id: string;
  choices: { candidate_id?: string; message?: { content?: Content } }[];
}

/** What an element's `interaction` takes. Thumbs need no more than the ids. */
export type Showable =
  | Completion
  | (Omit<Shown, "candidates"> & { candidates: (Partial<Candidate> & Pick<Candidate, "candidate_id">)[] });

/** Reads either form; null when there is nothing to show, as in the JSON of an error. */
export function readInteraction(value: unknown): Shown | null {
  const { id, choices } = (value ?? {}) as Partial<Completion>;
  if (id && Array.isArray(choices)) {
    const candidates = choices.map((choice, i) => ({
      candidate_id: choice?.candidate_id ?? `${id}.${i}`,
      content: choice?.message?.content ?? "",
    }));
    return { interaction_id: id, candidates };
  }
  const { interaction_id, candidates } = (value ?? {}) as Shown;
  const whole = interaction_id && Array.isArray(candidates) && candidates.every((one) => one?.candidate_id);
  return whole ? copyOf(value as Shown) : null;
}

/** A copy: what stands on the screen does not change when the host changes its own object. */
export function copyOf(shown: Shown): Shown {
  return { ...shown, candidates: shown.candidates.map((one) => ({ ...one })) };
}

/** The reply that is `named`; the first where that is none of those shown. */
export function candidateOf({ candidates }: Shown, named: string | null): string {
  const known = !candidates.length || candidates.some((one) => one.candidate_id === named);
  return (known ? named : candidates[0]?.candidate_id) ?? "";
}

/** The text of a content; images count for nothing. */
export function plainText(content: Content | undefined): string {
  if (typeof content === "string") return content;
  return Array.isArray(content) ? content.map((part) => part?.text ?? "").join("") : "";
}

function imageUrl(part: ContentPart | null): string {
  const url = typeof part?.image_url === "string" ? part.image_url : (part?.image_url?.url ?? part?.url ?? "");
  return /^(https?:|blob:|data:image\/)/i.test(url) || /^\/(?!\/)/.test(url) ? url : "";
}

/** Nodes for a content. `broken` is said in place of an image that cannot be loaded. */
function contentNodes(content: Content | undefined, alt: string, broken: string): Node[] {
  if (!Array.isArray(content)) return [h("div", { class: "text", dir: "auto", part: "text" }, plainText(content))];
  return content.map((part) => {
    if (typeof part?.text === "string") return h("div", { class: "text", dir: "auto", part: "text" }, part.text);
    const missing = (): HTMLElement => h("div", { class: "broken", part: "broken-image" }, broken);
    const url = imageUrl(part);
    if (!url) return missing();
    const image = h("img", { src: url, alt: part.alt ?? alt, part: "image" });
    image.addEventListener("error", () => image.replaceWith(missing()), { once: true });
    return image;
  });
}

const drawn = new WeakMap<Element, string>();

/** Brings a place in line with its content. A text that only grew keeps its node, and with it what a person selected. */
export function fill(place: Element, content: Content | undefined, alt: string, broken: string): void {
  const now = JSON.stringify(content ?? "");
  const before = drawn.get(place);
  if (now === before) return;
  drawn.set(place, now);
  const text = before?.startsWith('"') && place.firstChild?.firstChild;
  if (text instanceof Text && typeof content === "string" && content.startsWith(text.data)) {
    text.appendData(content.slice(text.length));
  } else {
    place.replaceChildren(...contentNodes(content, alt, broken));
  }
}
