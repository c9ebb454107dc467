/** Milliseconds an item was in front of a person: time with the page hidden does not count. */
export class Dwell {
  private total = 0;
  private since: number | null = null;

  start(): void {
    this.total = 0;
    this.since = document.hidden ? null : performance.now();
  }

  /** Continues from `ms`, as when an undo brings an item back. */
  resume(ms: number): void {
    this.start();
    this.total = ms;
  }

  readonly onVisibility = (): void => {
    if (document.hidden) {
      this.total = this.read();
      this.since = null;
    } else {
      this.since ??= performance.now();
    }
  };

  read(): number {
    return Math.round(this.total + (this.since === null ? 0 : performance.now() - this.since));
  }
}
