// The text of a field while it is typed: kept in the field, and sent when the person pauses, leaves, runs or saves.
import { useCallback, useEffect, useRef, useState } from "react";

import { useStore } from "./context.ts";

export const PAUSE = 300;

/** The text to show, a function for what is typed, and one that sends at once what was not sent yet. */
export function useDraft(value: string, send: (text: string) => void): [string, (text: string) => void, () => void] {
  const store = useStore();
  const [draft, setDraft] = useState<string | null>(null);
  const waiting = useRef<{ text: string; timer: ReturnType<typeof setTimeout> } | null>(null);
  const latest = useRef(send);
  latest.current = send;
  const flush = useCallback((): void => {
    if (!waiting.current) return;
    const { text, timer } = waiting.current;
    clearTimeout(timer);
    waiting.current = null;
    store.drafts.delete(flush);
    latest.current(text);
  }, [store]);
  const type = useCallback(
    (text: string): void => {
      setDraft(text);
      if (waiting.current) clearTimeout(waiting.current.timer);
      waiting.current = { text, timer: setTimeout(flush, PAUSE) };
      store.drafts.add(flush);
    },
    [store, flush],
  );
  useEffect(() => flush, [flush]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a value from elsewhere takes the place of a text that was sent
  useEffect(() => {
    if (!waiting.current) setDraft(null);
  }, [value]);
  return [draft ?? value, type, flush];
}
