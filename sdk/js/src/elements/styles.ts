/**
 * Looks. Colours follow the page's `color-scheme` through light-dark(), text contrast is AA in both, and every colour can
 * be replaced by a --thumbwheel-* property on the element or above it.
 */

export const BASE_CSS = /* css */ `
:host {
  --text: var(--thumbwheel-text, light-dark(#1b2126, #e6eaee));
  --muted: var(--thumbwheel-muted, light-dark(#57626d, #a2adb8));
  --surface: var(--thumbwheel-surface, light-dark(#ffffff, #1a2026));
  --raised: var(--thumbwheel-raised, light-dark(#f3f5f7, #242c34));
  --border: var(--thumbwheel-border, light-dark(#d5dbe1, #38424d));
  --accent: var(--thumbwheel-accent, light-dark(#0b6654, #58c9b0));
  --on-accent: var(--thumbwheel-on-accent, light-dark(#ffffff, #08201a));
  --tint: var(--thumbwheel-tint, light-dark(#e8f4f1, #17332d));
  --bad: var(--thumbwheel-bad, light-dark(#a5281b, #ff9d8f));
  --del: var(--thumbwheel-del, light-dark(#fbe4e1, #4a2420));
  --ins: var(--thumbwheel-ins, light-dark(#dcf3e4, #1c4029));
  --focus: var(--thumbwheel-focus, light-dark(#0b63c5, #8cc2ff));
  --radius: var(--thumbwheel-radius, 8px);
  display: block;
  color: var(--text);
  line-height: 1.6;
}
:host([hidden]), [hidden] { display: none !important; }
:host([theme="light"]) { color-scheme: light; }
:host([theme="dark"]) { color-scheme: dark; }
:host([theme="system"]) { color-scheme: light dark; }
* { box-sizing: border-box; }
.box { outline: none; }
h2 { width: fit-content; margin: 0 0 .6em; font: inherit; font-weight: 600; }
h2:focus:not(:focus-visible) { outline: none; }
p { margin: 0; }
button, textarea { font: inherit; color: inherit; }
button {
  display: inline-flex; align-items: center; justify-content: center; gap: .5em;
  min-height: 2.25em; padding: .25em .8em;
  border: 1px solid var(--border); border-radius: var(--radius); background: var(--surface); cursor: pointer;
}
button:hover:not(:disabled) { background: var(--raised); }
button:disabled { cursor: default; color: var(--muted); }
button[aria-pressed="true"] { border-color: var(--accent); background: var(--tint); color: var(--accent); font-weight: 600; }
button.primary { background: var(--accent); border-color: var(--accent); color: var(--on-accent); }
button.primary:hover:not(:disabled) { background: color-mix(in srgb, var(--accent) 88%, black); }
button.quiet {
  border-color: transparent; background: none; color: var(--muted);
}
button.undo { color: var(--accent); text-decoration: underline; text-underline-offset: 3px; min-height: 0; padding: 0 .3em; }
:focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; }
kbd {
  font: inherit; font-size: .8em; line-height: 1.5; padding: 0 .45em; white-space: nowrap;
  border: 1px solid color-mix(in srgb, currentColor 35%, transparent); border-radius: 4px;
}
textarea {
  display: block; width: 100%; padding: .6em .75em; resize: vertical; line-height: 1.6;
  border: 1px solid var(--border); border-radius: var(--radius); background: var(--surface);
}
label > span { display: block; margin-bottom: .25em; color: var(--muted); font-size: .9em; }
.spoken { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.row { display: flex; flex-wrap: wrap; gap: .5em; align-items: center; }
.text, .diff { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; }
.bar { color: var(--muted); font-size: .9em; }
.alert { color: var(--bad); }
.alert:not(:empty) { margin-top: .5em; padding: .4em .75em; border-inline-start: 3px solid var(--bad); background: var(--raised); }
.help { margin-top: .75em; padding: .75em 1em; border: 1px solid var(--border); border-radius: var(--radius); background: var(--raised); font-size: .9em; }
.help dl { display: grid; grid-template-columns: max-content 1fr; gap: .3em 1em; margin: 0 0 .6em; }
.help dt { display: flex; gap: .25em; }
.help dd { margin: 0; }
.switch { display: inline-flex; gap: .5em; align-items: center; }
.switch > span { margin: 0; font-size: 1em; color: inherit; }
`;

const CARDS_CSS = /* css */ `
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 17em), 1fr)); gap: .75em; margin-bottom: .75em; }
.card {
  display: flex; flex-direction: column; gap: .75em; padding: .9em 1em; min-width: 0;
  border: 1px solid var(--border); border-radius: var(--radius); background: var(--surface);
}
.card.chosen { border-color: var(--accent); box-shadow: inset 0 0 0 1px var(--accent); }
.card.dim .content { color: var(--muted); }
.content { flex: 1; min-width: 0; }
.content img, .broken { width: 100%; max-height: 22em; aspect-ratio: var(--thumbwheel-image-ratio, 4 / 3); border-radius: calc(var(--radius) - 2px); background: var(--raised); }
.content img { display: block; object-fit: contain; }
.broken { display: grid; place-items: center; text-align: center; color: var(--muted); }
.choose { align-self: stretch; }
.keys-button { margin-inline-start: auto; }
.bar { min-height: 2em; margin-top: .4em; display: flex; align-items: center; gap: .5em; }
`;

export const THUMBS_CSS = /* css */ `
.box { display: grid; grid-template-columns: max-content 1fr; align-items: center; column-gap: .75em; }
.body { display: contents; }
.row { gap: .15em; }
.bar { grid-column: 2; grid-row: 1; display: flex; gap: .4em; align-items: center; }
.panel, .alert, .help { grid-column: 1 / -1; }
.thumb { min-height: 0; width: 2.1em; height: 2.1em; padding: 0; border-color: transparent; background: none; color: var(--muted); }
.thumb svg { width: 1.15em; height: 1.15em; fill: none; stroke: currentColor; stroke-width: 1.7; stroke-linejoin: round; }
.thumb[aria-pressed="true"] { border-color: transparent; background: var(--tint); }
.thumb[aria-pressed="true"] svg { fill: currentColor; }
.thumb.down[aria-pressed="true"] { color: var(--bad); background: var(--raised); }
.panel { display: grid; gap: .6em; margin-top: .5em; padding: .8em 1em; border: 1px solid var(--border); border-radius: var(--radius); background: var(--surface); }
.panel p { color: var(--muted); font-size: .9em; }
.panel .row { gap: .5em; }
.chips { display: flex; flex-wrap: wrap; gap: .4em; }
.chip { min-height: 1.9em; padding: .1em .8em; border-radius: 999px; font-size: .92em; }
`;

export const CHOICE_CSS = CARDS_CSS;

export const WORKBENCH_CSS = `${CARDS_CSS}
.grid { grid-template-columns: repeat(auto-fit, minmax(min(100%, 20em), 1fr)); }
.card { cursor: pointer; }
.content { cursor: text; }
.actions { position: sticky; bottom: 0; z-index: 1; padding-block: .6em; border-top: 1px solid var(--border); background: var(--surface); }
.choose, textarea { scroll-margin-bottom: 6em; }
.edit { margin-bottom: .75em; padding: .9em 1em; border: 1px solid var(--border); border-radius: var(--radius); background: var(--raised); }
.edit .legend { margin-top: .6em; color: var(--muted); font-size: .85em; }
.legend del, .legend ins { color: var(--text); }
.diff { margin-top: .25em; max-height: 14em; overflow: auto; }
del { background: var(--del); }
ins { background: var(--ins); }
.idle { padding: 3em 1em; text-align: center; color: var(--muted); border: 1px dashed var(--border); border-radius: var(--radius); }
`;
