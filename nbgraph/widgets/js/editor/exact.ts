// Whole numbers beyond 2^53, which JSON.parse would round: they travel and are kept as texts; see exact_numbers.py.

export interface Exact {
  $int: string;
}

export const isExact = (value: unknown): value is Exact =>
  typeof value === "object" && value !== null && "$int" in value;

/** A number as it is typed. */
export const numberText = (value: any): string => (value == null ? "" : isExact(value) ? value.$int : String(value));

/** The number a text says; a whole one that would be rounded stays a text. */
export function readNumber(text: string): number | Exact {
  const typed = text.trim();
  if (!/^[+-]?\d+$/.test(typed) || Number.isSafeInteger(Number(typed))) return Number(typed);
  return { $int: BigInt(typed).toString() };
}

/** -1, 0 or 1: how two numbers compare, exactly where both are whole. */
export function compare(one: number | Exact, other: number | Exact): number {
  const [left, right] = [one, other].map((each) => (isExact(each) ? BigInt(each.$int) : each));
  return left < right ? -1 : left > right ? 1 : 0;
}

/** A list of plain values as JSON, its large numbers as they are typed. */
export const listText = (value: any): string =>
  value == null ? "" : JSON.stringify(value).replace(/\{"\$int":"(-?\d+)"\}/g, "$1");

/** The values of a list in JSON, exactly; throws where it is no JSON. */
export function readList(text: string): any {
  const isLarge = (part: string): boolean => /^-?\d+$/.test(part) && !Number.isSafeInteger(Number(part));
  return JSON.parse(
    text.replace(/"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g, (part) =>
      isLarge(part) ? JSON.stringify(readNumber(part)) : part,
    ),
  );
}
