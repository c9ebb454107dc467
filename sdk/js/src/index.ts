/**
 * Feedback from a page or a server to a Thumbwheel collector.
 *
 *     import { init } from "@thumbwheel/sdk";
 *     const feedback = init({ url: "https://feedback.example.com", key: "tw_pub_…", actor: "u-81f3" });
 *     feedback.thumb({ interaction_id, candidate_id, value: "up" });
 */
import { Client, type Options } from "./client.js";
import type { Annotation, Campaign, Choice, Edit, Interaction, Pick, Question, Retract, Thumb } from "./wire.js";

export { Client, type Options } from "./client.js";
export { uuid7 } from "./uuid.js";
export type * from "./wire.js";

let current: Client | null = null;

/** Makes a client. The module's own calls (`thumb`, `pick`, …) and elements without a `client` use the latest one. */
export function init(options: Options): Client {
  current = new Client(options ?? {});
  return current;
}

/** The client of the latest `init`, or null. */
export function getClient(): Client | null {
  return current;
}

/**
 * What a backend's response says of the reply it carries (the Python SDK's `attach`), as the elements take it; null when
 * it says nothing.
 */
export function interactionOf(response: Response): { interaction_id: string; candidates: { candidate_id: string }[] } | null {
  const interaction_id = response.headers.get("X-Thumbwheel-Interaction-Id");
  if (!interaction_id) return null;
  const ids = (response.headers.get("X-Thumbwheel-Candidate-Ids") ?? "").split(",").filter(Boolean);
  return { interaction_id, candidates: ids.map((candidate_id) => ({ candidate_id })) };
}

export const thumb = (fields: Thumb): string | null => current?.thumb(fields) ?? null;
export const choice = (fields: Choice): string | null => current?.choice(fields) ?? null;
export const pick = (fields: Pick): string | null => current?.pick(fields) ?? null;
export const edit = (fields: Edit): string | null => current?.edit(fields) ?? null;
export const annotate = (fields: Annotation): string | null => current?.annotate(fields) ?? null;
export const retract = (fields: Retract): string | null => current?.retract(fields) ?? null;
export const interaction = (fields: Interaction): string | null => current?.interaction(fields) ?? null;
export const campaign = (question: Question): Promise<Campaign | null> => current?.campaign(question) ?? Promise.resolve(null);
export const flush = (timeoutMs?: number): Promise<boolean> => current?.flush(timeoutMs) ?? Promise.resolve(true);
export const shutdown = (timeoutMs?: number): Promise<boolean> => current?.shutdown(timeoutMs) ?? Promise.resolve(true);
export const optIn = (): void => current?.optIn();
export const optOut = (): void => current?.optOut();
