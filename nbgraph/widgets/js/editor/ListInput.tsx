// A list of simple values, written as JSON.
import { useEffect, useState } from "react";

import { listText, readList } from "./exact.ts";
import type { ControlProps } from "./Field.tsx";

export function ListInput({ label, value, disabled, set }: ControlProps) {
  const [draft, setDraft] = useState<string | null>(null);
  const problem = draft === null ? "" : whyNoList(draft);
  useEffect(() => setDraft((text) => (text !== null && sameList(text, value) ? text : null)), [value]);
  const type = (text: string): void => {
    setDraft(text);
    if (!whyNoList(text)) set(readList(text));
  };
  return (
    <span className="nbg-list-input">
      <input
        type="text"
        aria-label={label}
        aria-invalid={problem !== ""}
        title={problem}
        placeholder="[1, 2, 3]"
        value={draft ?? listText(value)}
        disabled={disabled}
        onChange={(event) => type(event.target.value)}
        onBlur={() => setDraft(null)}
      />
      {problem && (
        <span className="nbg-field-problem" role="alert">
          {problem}
        </span>
      )}
    </span>
  );
}

const sameList = (text: string, value: any): boolean =>
  !whyNoList(text) && listText(readList(text)) === listText(value);

export function whyNoList(text: string): string {
  try {
    return Array.isArray(readList(text)) ? "" : "a list is written in brackets: [1, 2, 3]";
  } catch {
    return "a list is written in brackets: [1, 2, 3]";
  }
}
