// A number within its limits; a seed has a die, and may be left open.
import { useEffect, useState } from "react";

import type { ControlProps } from "./Field.tsx";
import type { InputType } from "./schema.ts";

const SEED_MAX = 2 ** 32;

export function NumberInput({ label, spec, value, disabled, set }: ControlProps) {
  const [draft, setDraft] = useState<string | null>(null);
  const shown = draft ?? (value == null ? "" : String(value));
  const problem = draft === null ? "" : whyNoNumber(spec, draft);
  useEffect(() => setDraft((text) => (text !== null && text.trim() !== "" && Number(text) === value ? text : null)), [value]);
  const type = (text: string): void => {
    setDraft(text);
    if (whyNoNumber(spec, text)) return;
    set(text.trim() === "" ? null : Number(text));
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
        <button type="button" className="nbg-icon" aria-label={`${label}: roll`} title="another seed" disabled={disabled} onClick={() => set(Math.floor(Math.random() * SEED_MAX))}>
          ⚄
        </button>
      )}
      {problem && <span className="nbg-field-problem" role="alert">{problem}</span>}
    </span>
  );
}

/** What is wrong with a text that should be a number within the limits, or "". */
export function whyNoNumber(spec: InputType, text: string): string {
  if (text.trim() === "") return spec.optional ? "" : "a number is needed";
  const value = Number(text);
  if (!Number.isFinite(value)) return "this is no number";
  if (spec.control !== "float" && !Number.isInteger(value)) return "a whole number is needed";
  if (spec.min !== undefined && value < spec.min) return `at least ${spec.min}`;
  if (spec.max !== undefined && value > spec.max) return `at most ${spec.max}`;
  if (spec.above !== undefined && value <= spec.above) return `more than ${spec.above}`;
  if (spec.below !== undefined && value >= spec.below) return `less than ${spec.below}`;
  return "";
}

function limits(spec: InputType): string {
  const low = spec.min ?? (spec.above !== undefined ? `> ${spec.above}` : undefined);
  const high = spec.max ?? (spec.below !== undefined ? `< ${spec.below}` : undefined);
  if (low === undefined && high === undefined) return "";
  return `${low ?? "…"} to ${high ?? "…"}`;
}
