// A small dialog that asks for one line of text.
import { type KeyboardEvent, useState } from "react";

export interface Question {
  label: string;
  text: string;
  answer: (text: string | null) => void;
}

export function Prompt({ label, text, answer, close }: Question & { close: () => void }) {
  const [draft, setDraft] = useState(text);
  const end = (given: string | null): void => {
    answer(given);
    close();
  };
  const key = (event: KeyboardEvent): void => {
    if (event.key === "Enter") end(draft);
    else if (event.key === "Escape") end(null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div className="nbg-prompt" role="dialog" aria-label={label} onKeyDown={key}>
      <label>
        {label}
        <input
          autoFocus
          type="text"
          value={draft}
          maxLength={100}
          onFocus={(event) => event.target.select()}
          onChange={(event) => setDraft(event.target.value)}
        />
      </label>
      <button type="button" onClick={() => end(draft)}>
        OK
      </button>
      <button type="button" onClick={() => end(null)}>
        Cancel
      </button>
    </div>
  );
}
