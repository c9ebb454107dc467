/** UUIDv7 (RFC 9562, section 5.7): 48 bits of milliseconds, then a 12-bit counter, then 62 random bits. */

let lastMs = 0;
let counter = 0;

/** Ids made by one page sort in the order they were made, also within a millisecond and when the clock steps back. */
export function uuid7(now: number = Date.now()): string {
  if (now > lastMs) {
    lastMs = now;
    counter = 0;
  } else if (++counter > 0xfff) {
    lastMs++;
    counter = 0;
  }
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  bytes[0] = (bytes[0]! & 0x3f) | 0x80;
  // Not Array.from(bytes, ...): Prototype.js puts one there that takes no function.
  const tail = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const time = lastMs.toString(16).padStart(12, "0");
  const count = (0x7000 + counter).toString(16);
  return `${time.slice(0, 8)}-${time.slice(8)}-${count}-${tail.slice(0, 4)}-${tail.slice(4)}`;
}
