// Which models a picker offers: those of the kinds that an input takes, then the others, by what was typed.
import type { ModelFile } from "./protocol.ts";

export interface Offer {
  value: string | null;
  title: string;
  about: string;
  group: string;
}

export const OTHERS = "other files";
const TYPED = "a file or folder";
/** More are found by typing. */
const MOST = 200;

interface Asked {
  models: ModelFile[];
  kinds: string[];
  text: string;
  optional: boolean;
}

export function offers({ models, kinds, text, optional }: Asked): Offer[] {
  const typed = text.trim();
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const found = models.filter((model) => {
    const all = `${model.name} ${model.kind} ${model.family}`.toLowerCase();
    return words.every((word) => all.includes(word));
  });
  const fits = (model: ModelFile): boolean => kinds.includes(model.kind);
  const listed = [...found.filter(fits), ...found.filter((model) => !fits(model))].slice(0, MOST).map(
    (model): Offer => ({
      value: model.name,
      title: model.name,
      about: [model.kind, model.family].filter(Boolean).join(" · "),
      group: fits(model) ? "" : OTHERS,
    }),
  );
  const none: Offer[] =
    optional && !typed ? [{ value: null, title: "none", about: "leave it to the node", group: "" }] : [];
  const exact = listed.find((one) => one.value === typed);
  const own: Offer[] = typed && !exact ? [{ value: typed, title: typed, about: "as typed", group: TYPED }] : [];
  // What looks like a path is meant as one; a word is a search first.
  return /[\\/]/.test(typed) && !listed.length ? own : [...none, ...listed, ...own];
}
