// A number within its limits: typed, scrubbed with the mouse, or stepped by wheel and arrows. A seed has a die.
import { type KeyboardEvent, type PointerEvent, type RefObject, useEffect, useRef, useState } from "react";

import { useStored } from "./context.ts";
import { compare, type Exact, isExact, numberText, readNumber } from "./exact.ts";
import type { ControlProps } from "./Field.tsx";
import { labelOf, spanOf, stepOf } from "./labels.ts";
import type { InputType } from "./schema.ts";

const SEED_MAX = 2 ** 32;
/** So many pixels of the mouse are one step of a number without a bar, and a click up to there. */
const SCRUB = 4;

export function NumberInput({ label, spec, value, disabled, set }: ControlProps) {
  const [draft, setDraft] = useState<string | null>(null);
  const input = useRef<HTMLInputElement>(null);
  const scrub = useScrub(spec, value, disabled, set, input);
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
  const step = (times: number): void => {
    const next = stepped(spec, value, times);
    if (next === null || disabled) return;
    setDraft(null);
    set(next);
  };
  useWheel(input, step);
  const key = (event: KeyboardEvent): void => {
    if (event.key !== "ArrowUp" && event.key !== "ArrowDown") return;
    event.preventDefault();
    event.stopPropagation();
    step((event.key === "ArrowUp" ? 1 : -1) * (event.shiftKey ? 10 : 1));
  };
  return (
    <>
      <span className={`nbg-field nbg-number${problem ? " nbg-wrong-field" : ""}`} {...scrub}>
        <Bar spec={spec} value={value} />
        <span className="nbg-label">{labelOf(spec)}</span>
        <input
          ref={input}
          type="text"
          inputMode={spec.control === "float" ? "decimal" : "numeric"}
          aria-label={label}
          aria-invalid={problem !== ""}
          title={problem || limits(spec)}
          placeholder={spec.control === "seed" ? "random" : spec.optional ? "default" : ""}
          value={shown}
          disabled={disabled}
          onChange={(event) => type(event.target.value)}
          onKeyDown={key}
          onBlur={() => setDraft(null)}
        />
        {spec.control === "seed" && (
          <button
            type="button"
            className="nbg-die"
            aria-label={`${label}: roll`}
            title="another seed"
            disabled={disabled}
            onClick={() => set(Math.floor(Math.random() * SEED_MAX))}
          >
            ⚄
          </button>
        )}
      </span>
      {spec.control === "seed" && value == null && <LastSeed label={label} disabled={disabled} set={set} />}
      {problem && (
        <span className="nbg-field-problem" role="alert">
          {problem}
        </span>
      )}
    </>
  );
}

/** How much of its span a number fills. */
function Bar({ spec, value }: { spec: InputType; value: any }) {
  const span = spanOf(spec);
  if (!span || typeof value !== "number") return null;
  const share = Math.min(1, Math.max(0, (value - span[0]) / (span[1] - span[0])));
  return <span className="nbg-bar" style={{ transform: `scaleX(${share})` }} />;
}

/** The seed a run drew, to keep by a click. */
function LastSeed({ label, disabled, set }: Pick<ControlProps, "label" | "disabled" | "set">) {
  const node = label.slice(0, label.lastIndexOf(" "));
  const seed = useStored((state) => state.runs[node]?.seed ?? "");
  if (!seed) return null;
  return (
    <button
      type="button"
      className="nbg-last-seed"
      title="keep this seed"
      disabled={disabled}
      onClick={() => set(readNumber(seed))}
    >
      last {seed}
    </button>
  );
}

/** Turn of the wheel over a field that has the focus; elsewhere the wheel zooms or scrolls. */
function useWheel(input: RefObject<HTMLInputElement | null>, step: (times: number) => void): void {
  const latest = useRef(step);
  latest.current = step;
  useEffect(() => {
    const field = input.current?.parentElement;
    const turn = (event: WheelEvent): void => {
      if (document.activeElement !== input.current && !input.current?.matches(":focus")) return;
      event.preventDefault();
      event.stopPropagation();
      latest.current(event.deltaY < 0 ? 1 : -1);
    };
    field?.addEventListener("wheel", turn, { passive: false });
    return () => field?.removeEventListener("wheel", turn);
  }, [input]);
}

/** Handlers that change a number while it is dragged sideways, and start typing on a click. */
function useScrub(
  spec: InputType,
  value: any,
  disabled: boolean,
  set: (value: any) => void,
  input: RefObject<HTMLInputElement | null>,
) {
  const start = useRef<{ x: number; from: any; width: number; moved: boolean; next: any } | null>(null);
  return {
    onPointerDown: (event: PointerEvent<HTMLElement>) => {
      const target = event.target as Element;
      if (disabled || event.button || target.closest("button") || target.matches(":focus")) return;
      event.preventDefault();
      event.currentTarget.setPointerCapture(event.pointerId);
      start.current = {
        x: event.clientX,
        from: value,
        width: event.currentTarget.offsetWidth,
        moved: false,
        next: value,
      };
    },
    onPointerMove: (event: PointerEvent<HTMLElement>) => {
      const one = start.current;
      if (!one) return;
      const zoom = event.currentTarget.getBoundingClientRect().width / one.width || 1;
      const pixels = (event.clientX - one.x) / zoom;
      if (!one.moved && Math.abs(event.clientX - one.x) < SCRUB) return;
      one.moved = true;
      const span = spanOf(spec);
      const steps = span ? (pixels / one.width) * ((span[1] - span[0]) / stepOf(spec)) : pixels / SCRUB;
      const next = stepped(spec, one.from, Math.round(steps));
      if (next === null || next === one.next) return;
      one.next = next;
      set(next);
    },
    onPointerUp: (event: PointerEvent<HTMLElement>) => {
      const one = start.current;
      start.current = null;
      if (!one) return;
      event.currentTarget.releasePointerCapture(event.pointerId);
      if (one.moved) return;
      input.current?.focus({ preventScroll: true });
      input.current?.select();
    },
    onPointerCancel: () => {
      start.current = null;
    },
  };
}

/** A number some steps on, within its limits; null where there is none to step from. */
export function stepped(spec: InputType, value: any, times: number): number | null {
  if (isExact(value)) return null;
  const from = typeof value === "number" ? value : typeof spec.min === "number" ? spec.min : 0;
  const step = stepOf(spec);
  const decimals = Math.max(0, Math.ceil(-Math.log10(step)));
  const next = Number((Math.round(from / step + times) * step).toFixed(decimals));
  const low = typeof spec.min === "number" ? spec.min : typeof spec.above === "number" ? spec.above + step : -Infinity;
  const high = typeof spec.max === "number" ? spec.max : typeof spec.below === "number" ? spec.below - step : Infinity;
  return Math.min(high, Math.max(low, next));
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

export function limits(spec: InputType): string {
  const shown = (limit: number | Exact | undefined, sign: string): string | undefined =>
    limit === undefined ? undefined : sign + numberText(limit);
  const low = shown(spec.min, "") ?? shown(spec.above, "> ");
  const high = shown(spec.max, "") ?? shown(spec.below, "< ");
  if (low === undefined && high === undefined) return "";
  return `${low ?? "…"} to ${high ?? "…"}`;
}
