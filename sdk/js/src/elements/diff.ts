/** What changed between two texts: per word where words have spaces, per character in Chinese and Japanese. */

export interface Change {
  kind: "same" | "del" | "ins";
  text: string;
}

const HAN = "[\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}]";
const TOKEN = /* @__PURE__ */ new RegExp(`${HAN}|(?:(?!${HAN})[\\p{L}\\p{N}\\p{M}_'’-])+|\\s+|[^]`, "gu");
/** Cells of the table below; beyond it the middle is shown as replaced whole. */
const MAX_CELLS = 2_000_000;

export function tokens(text: string): string[] {
  return text.match(TOKEN) ?? [];
}

/** Longest common subsequence of tokens (Wagner and Fischer 1974), after common head and tail are set aside. */
export function diff(before: string, after: string): Change[] {
  const a = tokens(before);
  const b = tokens(after);
  let head = 0;
  while (head < a.length && head < b.length && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  const changes: Change[] = [];
  push(changes, "same", a.slice(0, head).join(""));
  middle(changes, a.slice(head, a.length - tail), b.slice(head, b.length - tail));
  push(changes, "same", a.slice(a.length - tail).join(""));
  return changes;
}

function middle(changes: Change[], a: string[], b: string[]): void {
  if (a.length * b.length > MAX_CELLS) {
    push(changes, "del", a.join(""));
    push(changes, "ins", b.join(""));
    return;
  }
  const width = b.length + 1;
  const length = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      length[i * width + j] =
        a[i] === b[j]
          ? length[(i + 1) * width + j + 1]! + 1
          : Math.max(length[(i + 1) * width + j]!, length[i * width + j + 1]!);
    }
  }
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      push(changes, "same", a[i]!);
      i++;
      j++;
    } else if (j >= b.length || (i < a.length && length[(i + 1) * width + j]! >= length[i * width + j + 1]!)) {
      push(changes, "del", a[i++]!);
    } else {
      push(changes, "ins", b[j++]!);
    }
  }
}

function push(changes: Change[], kind: Change["kind"], text: string): void {
  if (!text) return;
  const last = changes[changes.length - 1];
  if (last?.kind === kind) last.text += text;
  else changes.push({ kind, text });
}
