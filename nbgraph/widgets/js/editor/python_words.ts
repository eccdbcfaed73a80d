// Python code cut into pieces that are coloured: texts, numbers, comments, names of classes and of inputs.

export type Kind = "" | "string" | "number" | "comment" | "word" | "class" | "input";

const PIECES =
  /("""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?)|(#[^\n]*)|\b(from|import|as|None|True|False)\b|\b(\d[\w.]*)|\b([A-Z]\w*)|\b([a-z_]\w*)(?=\s*=[^=])/g;
const KINDS: Kind[] = ["string", "comment", "word", "number", "class", "input"];
/** Longer code is shown without colours: it would be cut anew at each key. */
const MOST = 40_000;

/** The code in pieces; together they are the whole of it. */
export function piecesOf(code: string): [Kind, string][] {
  if (code.length > MOST) return [["", code]];
  const pieces: [Kind, string][] = [];
  let end = 0;
  for (const match of code.matchAll(PIECES)) {
    if (match.index > end) pieces.push(["", code.slice(end, match.index)]);
    pieces.push([KINDS[match.slice(1).findIndex((group) => group !== undefined)], match[0]]);
    end = match.index + match[0].length;
  }
  if (end < code.length) pieces.push(["", code.slice(end)]);
  return pieces;
}
