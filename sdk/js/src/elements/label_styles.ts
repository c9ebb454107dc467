/** The look of the element that asks one label. */
export const LABEL_CSS = /* css */ `
.question { display: grid; gap: .5em; }
.title { font-weight: 600; }
.description { color: var(--muted); font-size: .9em; }
.answer { overflow-wrap: anywhere; }
.keys-button { margin-inline-start: auto; }
.number {
  font: inherit; color: inherit; width: 9em; min-height: 2.25em; padding: .25em .75em;
  border: 1px solid var(--border); border-radius: var(--radius); background: var(--surface);
}
.bar { min-height: 2em; margin-top: .4em; display: flex; align-items: center; gap: .5em; }
`;
