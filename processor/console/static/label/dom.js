// Elements and words: what the annotator's page is built with. Texts are set as text, never as markup.

export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

// A sentence with its blanks filled: fill("Reply {n}", {n: 2}).
export function fill(text, blanks = {}) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in blanks ? blanks[name] : whole));
}

// A text in the reader's language, else in the one there is.
export function worded(words, lang, otherwise = "") {
  const other = lang === "zh" ? "en" : "zh";
  return words?.[lang] || words?.[other] || otherwise;
}

// A content as it reads: text, or the parts of one that are text.
export function plain(content, missing) {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return missing;
  return content.map((part) => (part.type === "text" ? part.text : JSON.stringify(part))).join("\n");
}

// Code points before a place of a text that is counted in UTF-16, as the browser counts.
export function codePoints(text, end) {
  return Array.from(text.slice(0, end)).length;
}
