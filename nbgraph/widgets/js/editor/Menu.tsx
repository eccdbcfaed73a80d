// A menu of commands, at the pointer or below a button.
import { type KeyboardEvent, useEffect, useRef } from "react";

export interface Item {
  label: string;
  keys?: string;
  act: () => void;
  disabled?: boolean;
  danger?: boolean;
}

/** Null is a line between two items. */
export type Items = (Item | null)[];

interface Props {
  label: string;
  at: { left?: number; right?: number; top: number };
  items: Items;
  close: () => void;
}

export function Menu({ label, at, items, close }: Props) {
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const element = root.current!;
    element.querySelector<HTMLElement>("button:not(:disabled)")?.focus({ preventScroll: true });
    const outside = (event: PointerEvent): void => {
      if (!event.composedPath().includes(element)) close();
    };
    document.addEventListener("pointerdown", outside, true);
    return () => document.removeEventListener("pointerdown", outside, true);
  }, [close]);
  const key = (event: KeyboardEvent): void => {
    const buttons = [...root.current!.querySelectorAll<HTMLElement>("button:not(:disabled)")];
    const place = buttons.indexOf((event.target as HTMLElement).closest("button")!);
    if (event.key === "ArrowDown") buttons[(place + 1) % buttons.length]?.focus();
    else if (event.key === "ArrowUp") buttons.at((place - 1) % buttons.length)?.focus();
    else if (event.key === "Escape" || event.key === "Tab") close();
    else if (event.key !== "Enter" && event.key !== " ") return;
    if (event.key !== "Enter" && event.key !== " ") event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div
      ref={root}
      className="nbg-menu nowheel"
      role="menu"
      aria-label={label}
      style={at}
      onKeyDown={key}
      tabIndex={-1}
    >
      {items.map((item, number) =>
        item ? (
          <button
            key={item.label}
            type="button"
            role="menuitem"
            tabIndex={-1}
            disabled={item.disabled}
            className={item.danger ? "nbg-danger" : ""}
            onClick={() => {
              close();
              item.act();
            }}
          >
            <span>{item.label}</span>
            {item.keys && <kbd>{item.keys}</kbd>}
          </button>
        ) : (
          // biome-ignore lint/suspicious/noArrayIndexKey: lines have no name
          <hr key={number} />
        ),
      )}
    </div>
  );
}
