/**
 * Events that are not known to be stored yet.
 *
 * Each event is one entry of localStorage under its own key, so that tabs never rewrite each other's events and a reload
 * loses none. Where storage is absent, full or forbidden, the event stays in memory: the host page notices nothing.
 */

/** UTF-8 length in bytes. */
export function byteLength(text: string): number {
  return new TextEncoder().encode(text).length;
}

export interface Waiting {
  id: string;
  text: string;
}

export class Queue {
  private readonly memory = new Map<string, string>();

  constructor(
    private readonly prefix: string,
    private readonly storage: Storage | null,
    /** Most events kept; beyond it the oldest goes. */
    private readonly maxEvents: number,
    /** Most bytes of event text kept. */
    private readonly maxBytes: number,
  ) {}

  /**
   * Keeps an event. Returns the ids that had to go to make room, oldest first; those on their way stay, since they may
   * have arrived.
   */
  add(id: string, text: string, onTheirWay: Set<string>): string[] {
    this.put(id, text);
    const waiting = this.all();
    let bytes = 0;
    for (const item of waiting) bytes += byteLength(item.text);
    let count = waiting.length;
    return waiting
      .filter((item) => {
        if (onTheirWay.has(item.id) || (count <= this.maxEvents && bytes <= this.maxBytes)) return false;
        count--;
        bytes -= byteLength(item.text);
        this.remove(item.id);
        return true;
      })
      .map((item) => item.id);
  }

  private put(id: string, text: string): void {
    try {
      if (this.storage) {
        this.storage.setItem(this.prefix + id, text);
        return;
      }
    } catch {
      // Quota exceeded or storage forbidden: the event lives in memory only.
    }
    this.memory.set(id, text);
  }

  /** Everything waiting, oldest first: of this tab, of earlier visits and of other tabs. */
  all(): Waiting[] {
    const found = [...this.memory].map(([id, text]) => ({ id, text }));
    try {
      for (const key of Object.keys(this.storage ?? {})) {
        const text = key.startsWith(this.prefix) ? this.storage!.getItem(key) : null;
        if (text) found.push({ id: key.slice(this.prefix.length), text });
      }
    } catch {
      // Storage became unreadable: what is in memory still goes.
    }
    return found.sort((a, b) => (a.id < b.id ? -1 : 1));
  }

  remove(id: string): void {
    this.memory.delete(id);
    try {
      this.storage?.removeItem(this.prefix + id);
    } catch {
      // Unreadable storage holds nothing that could be sent again.
    }
  }

  clear(): void {
    for (const { id } of this.all()) this.remove(id);
  }
}

/** localStorage, or null in workers, on servers and where the browser forbids it. */
export function findStorage(): Storage | null {
  try {
    return typeof localStorage === "undefined" ? null : localStorage;
  } catch {
    return null;
  }
}
