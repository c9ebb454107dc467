import { json } from "./json.js";

/** One value under one key of localStorage; kept in memory where storage is absent, full or forbidden. */
export class Slot<T> {
  private memory: T | null = null;

  constructor(
    private readonly storage: Storage | null,
    readonly place: string,
  ) {}

  /** The value, or null. Whoever shares the site may have written something else there: check what it is made of. */
  read(): T | null {
    try {
      return this.memory ?? JSON.parse(this.storage!.getItem(this.place)!);
    } catch {
      return null;
    }
  }

  write(value: T | null): void {
    this.memory = value;
    try {
      this.storage!.removeItem(this.place);
      if (value) this.storage!.setItem(this.place, json(value));
      this.memory = null;
    } catch {
      // It lives until the page goes.
    }
  }
}
