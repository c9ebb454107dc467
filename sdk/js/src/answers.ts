/** What a collector, or a proxy in its place, answers. In: responses. Out: what is final, and when to come again. */
import type { Problem } from "./wire.js";

const BACKOFF_MS = 1_000;
const BACKOFF_MAX_MS = 300_000;
const RETRY_AFTER_MAX_MS = 600_000;

interface Result {
  event_id?: string;
  status: "accepted" | "rejected" | "retry";
  error?: Problem;
}

export interface Said {
  results?: Result[];
  error?: Problem;
}

/** The JSON of an answer; an empty object where a proxy answered something else. */
export async function readAnswer(response: Response): Promise<Said> {
  const text = await response.text();
  try {
    return Object(JSON.parse(text)) as Said;
  } catch {
    return {};
  }
}

/** Whether an error is the collector's own, and so final: a proxy's has another shape. */
export function isFinal(error: Problem | undefined): error is Problem {
  return !!(error?.code && error.message && error.hint);
}

/** Pause in milliseconds before try number `attempt` (0 = the first retry). */
export function backoff(attempt: number, retryAfterMs = 0, random: () => number = Math.random): number {
  const jittered = random() * Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** Math.min(attempt, 20));
  return Math.max(jittered, Math.min(retryAfterMs, RETRY_AFTER_MAX_MS));
}

/** `Retry-After` as milliseconds from now: seconds or an HTTP date; 0 when absent or unreadable. */
export function retryAfterMs(header: string | null, now: number = Date.now()): number {
  if (!header) return 0;
  const wait = /^\d+$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - now;
  return wait > 0 ? wait : 0;
}
