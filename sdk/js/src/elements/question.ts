/**
 * What a label asks. In: its definition, as `GET /api/v1/labels/PATH` of the console gives it. Out: whether an element can
 * ask it, its words in a language, the answers it offers and the key that gives each.
 */

/** A text in one language or in both; where one is missing the other is shown. */
export type Words = string | { en?: string; zh?: string };

export interface LabelDefinition {
  path: string;
  version?: number;
  kind?: string;
  scope?: string;
  title?: Words;
  description?: Words;
  choices?: { key: string; title?: Words; shortcut?: string; archived?: boolean }[];
  min?: number | null;
  max?: number | null;
  step?: number | null;
  deprecated?: boolean;
}

/** What is sent as the answer: true or false, a choice's key or several, a number, a text. */
export type Answer = boolean | string | number | string[];

/** An answer that one press gives. */
export interface Offer {
  value: boolean | string | number;
  title: string;
  /** Empty where there is no key left. */
  key: string;
}

/** A scale of more steps is a field for a number. */
const STEPS = 10;
const KINDS = ["bool", "choice", "multi", "rating", "text"];

/** A copy of what is asked; null where there is nothing, as in the JSON of an error, or where it is no longer asked. */
export function readLabel(value: unknown): LabelDefinition | null {
  const { path, version, kind = "bool", scope, title, description, choices, min, max, step, deprecated } = (value ?? {}) as LabelDefinition;
  if (!path || deprecated) return null;
  return JSON.parse(JSON.stringify({ path, version, kind, scope, title, description, choices, min, max, step })) as LabelDefinition;
}

/** Whether it has a kind and a scope that can be asked here, and something to answer with. */
export function canAsk(label: LabelDefinition): boolean {
  const { kind, scope, choices, min, max } = label;
  if (!KINDS.includes(kind!) || !["interaction", "candidate"].includes(scope ?? "interaction")) return false;
  if (kind === "rating") return Number(min ?? NaN) < Number(max ?? NaN);
  return (kind !== "choice" && kind !== "multi") || !!choices?.some((one) => !one.archived);
}

export function wordsIn(words: Words | undefined, chinese: boolean): string {
  if (!words || typeof words === "string") return words ?? "";
  return (chinese ? words.zh || words.en : words.en || words.zh) ?? "";
}

/** The step of a scale; 0 where any number between its ends will do. */
export function stepOf({ min, max, step }: LabelDefinition): number {
  return step || (Number.isInteger(min) && Number.isInteger(max) && max! - min! <= STEPS ? 1 : 0);
}

/** The answers that are offered; none where the answer is written. */
export function offersOf(label: LabelDefinition, chinese: boolean, yes: string, no: string): Offer[] {
  if (label.kind === "bool") return [{ value: true, title: yes, key: "y" }, { value: false, title: no, key: "n" }];
  if (label.kind === "rating") return scale(label).map((value) => ({ value, title: `${value}`, key: keyOf(`${value}`) }));
  const open = (label.choices ?? []).filter((one) => !one.archived);
  const taken = new Set(open.map((one) => keyOf(one.shortcut)));
  return open.map(({ key, title, shortcut }, index) => {
    const number = `${index + 1}`;
    return { value: key, title: wordsIn(title, chinese) || key, key: keyOf(shortcut) || (taken.has(number) ? "" : keyOf(number)) };
  });
}

/** A single character can be a key; `?` is the list's. */
function keyOf(text: string | undefined): string {
  return text?.length === 1 && text.trim() && text !== "?" ? text.toLowerCase() : "";
}

function scale(label: LabelDefinition): number[] {
  const { min, max } = label;
  const step = stepOf(label);
  const steps = step ? Math.floor((max! - min!) / step + 1e-9) : Infinity;
  // Without the noise of sums such as 0.1 + 0.2.
  return steps > STEPS ? [] : Array.from({ length: steps + 1 }, (_, i) => Number((min! + i * step).toPrecision(12)));
}

/** The number a person wrote, or null where it is none of the scale's. */
export function numberIn(label: LabelDefinition, text: string): number | null {
  const value = text.trim() ? Number(text) : NaN;
  const step = stepOf(label);
  const steps = step ? (value - label.min!) / step : 0;
  return value >= label.min! && value <= label.max! && Math.abs(steps - Math.round(steps)) < 1e-9 ? value : null;
}
