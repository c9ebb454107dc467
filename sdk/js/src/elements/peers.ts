/**
 * What other tabs of the site sent, so that no customer gets two replies. In: the place of an item that was sent here, or
 * taken back. Out: whether another tab sent it, and a call when that changes. Nothing is stored.
 */

const REMEMBERED = 200;

export class Peers {
  private readonly sent = new Set<string>();
  private channel: BroadcastChannel | null = null;

  constructor(private readonly changed: () => void) {}

  /** Begins to hear. What was heard before stays. */
  open(): void {
    if (typeof BroadcastChannel === "undefined") return;
    this.channel = new BroadcastChannel("thumbwheel.workbench");
    this.channel.onmessage = ({ data }: MessageEvent<{ place?: unknown; sent?: unknown } | null>) => {
      if (typeof data?.place !== "string") return;
      if (data.sent === true) this.sent.add(data.place);
      else this.sent.delete(data.place);
      if (this.sent.size > REMEMBERED) this.sent.delete(this.sent.values().next().value!);
      this.changed();
    };
  }

  close(): void {
    this.channel?.close();
    this.channel = null;
  }

  tell(place: string, sent: boolean): void {
    this.channel?.postMessage({ place, sent });
  }

  haveSent(place: string): boolean {
    return this.sent.has(place);
  }
}
