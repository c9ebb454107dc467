/**
 * JSON as it travels and is kept. In: any value. Out: JSON that a collector can store, whatever the page did to built-in
 * prototypes: Prototype.js gives arrays and dates a `toJSON` that answers with text.
 */
export function json(value: unknown): string {
  const text = JSON.stringify(value, function (this: Record<string, unknown>, name, made) {
    const raw = this[name];
    if (raw instanceof Date) return isNaN(+raw) ? null : raw.toISOString();
    return Array.isArray(raw) ? raw : made;
  });
  // Half of a surrogate pair, as `slice()` leaves of an emoji, is written as an escape; no store takes it.
  return text.replace(/\\(?:ud[89a-f]..|.)/g, (escape) => (escape.length > 2 ? "\ufffd" : escape));
}
