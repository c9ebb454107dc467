// The keys of the page. None acts while an input method composes, single ones not while typing or when switched off.

const TYPING = "textarea:not([data-span]), input:not([type=radio]):not([type=checkbox])";

export function listen(page, acts) {
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229) return;
    if (document.querySelector(":popover-open") && event.key !== "?") return;
    const typing = event.target.matches?.(TYPING);
    if (pressed(event, typing, page, acts)) {
      event.preventDefault();
      event.stopPropagation();
    }
  });
}

function pressed(event, typing, page, acts) {
  const held = event.ctrlKey || event.metaKey;
  if (held && event.key === "Enter") return acts.submit();
  if (held && event.key.toLowerCase() === "z" && !event.shiftKey) return typing && event.target.value ? false : acts.undo();
  if (event.key === "Escape") return acts.escape(event.target, typing);
  if (typing || held) return false;
  const inSpan = event.target.matches?.("[data-span]");
  if (event.altKey || (inSpan && event.key === "Enter") || (!inSpan && /^Arrow(Up|Down)$/.test(event.key)) || event.key === "=") {
    return acts.question((each) => each.key(event));
  }
  return page.single.checked && !event.altKey && single(event, acts);
}

function single(event, acts) {
  const digit = /^(?:Digit|Numpad)([0-8])$/.exec(event.code)?.[1];
  if (event.shiftKey && digit) return "123".includes(digit) && acts.question((each) => each.strength(Number(digit)));
  if (event.key === "?") return acts.keys();
  if (event.shiftKey) return false;
  if (digit && digit !== "0") return acts.question((each) => each.pick(Number(digit) - 1));
  switch (event.key.toLowerCase()) {
    case "0": case "t": return acts.question((each) => each.tie());
    case "b": return acts.question((each) => each.none());
    case "e": return acts.write();
    case "j": return acts.turn(1);
    case "k": return acts.turn(-1);
    case "s": return acts.skip();
    case "d": return acts.postpone();
    case "g": return acts.guideline();
    case "c": return acts.note();
    default: return acts.question((each) => each.key(event));
  }
}
