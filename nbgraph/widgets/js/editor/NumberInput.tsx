// A number within its limits; a seed has a die, and may be left open.
import { useEffect, useState } from "react";

import { compare, type Exact, isExact, numberText, readNumber } from "./exact.ts";
import type { ControlProps } from "./Field.tsx";
import type { InputType } from "./schema.ts";

const SEED_MAX = 2 ** 32;

export function NumberInput({ label, spec, value, disabled, set }: ControlProps) {
  const [draft, setDraft] = useState<string | null>(null);
  const shown = draft ?? numberText(value);
  const problem = draft === null ? "" : whyNoNumber(spec, draft);
  useEffect(
    () =>
      setDraft((text) =>
        text !== null && text.trim() !== "" && numberText(readNumber(text)) === numberText(value) ? text : null,
      ),
    [value],
  );
  const type = (text: string): void => {
    setDraft(text);
    if (whyNoNumber(spec, text)) return;
    set(text.trim() === "" ? null : readNumber(text));
  };
  return (
    <span className="nbg-number">
      <input
        type="text"
        inputMode={spec.control === "float" ? "decimal" : "numeric"}
        aria-label={label}
        aria-invalid={problem !== ""}
        title={problem || limits(spec)}
        placeholder={spec.control === "seed" ? "random" : spec.optional ? "default" : ""}
        value={shown}
        disabled={disabled}
        onChange={(event) => type(event.target.value)}
        onBlur={() => setDraft(null)}
      />
      {spec.control === "seed" && (
        <button
          type="button"
          className="nbg-icon"
          aria-label={`${label}: roll`}
          title="another seed"
          disabled={disabled}
          onClick={() => set(Math.floor(Math.random() * SEED_MAX))}
        >
          ⚄
        </button>
      )}
      {problem && (
        <span className="nbg-field-problem" role="alert">
          {problem}
        </span>
      )}
    </span>
  );
}

/** What is wrong with a text that should be a number within the limits, or "". */
export function whyNoNumber(spec: InputType, text: string): string {
  if (text.trim() === "") return spec.optional ? "" : "a number is needed";
  const value = readNumber(text);
  if (!isExact(value) && !Number.isFinite(value)) return "this is no number";
  if (spec.control !== "float" && !isExact(value) && !Number.isInteger(value)) return "a whole number is needed";
  if (spec.min !== undefined && compare(value, spec.min) < 0) return `at least ${numberText(spec.min)}`;
  if (spec.max !== undefined && compare(value, spec.max) > 0) return `at most ${numberText(spec.max)}`;
  if (spec.above !== undefined && compare(value, spec.above) <= 0) return `more than ${numberText(spec.above)}`;
  if (spec.below !== undefined && compare(value, spec.below) >= 0) return `less than ${numberText(spec.below)}`;
  return "";
}

function limits(spec: InputType): string {
  const shown = (limit: number | Exact | undefined, sign: string): string | undefined =>
    limit === undefined ? undefined : sign + numberText(limit);
  const low = shown(spec.min, "") ?? shown(spec.above, "> ");
  const high = shown(spec.max, "") ?? shown(spec.below, "< ");
  if (low === undefined && high === undefined) return "";
  return `${low ?? "…"} to ${high ?? "…"}`;
}
