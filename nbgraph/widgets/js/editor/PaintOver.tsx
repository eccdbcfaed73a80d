// The paint view over the canvas: the kernel opens a painter on an image, and the mask goes back to the graph.
import { type KeyboardEvent, useEffect, useRef } from "react";

import type { Model } from "../model.ts";
import { showPaint } from "../paint.ts";
import { useStore, useStored } from "./context.ts";
import { maskChanges, type Painting } from "./painting.ts";

interface Props {
  /** Give the focus back to where it was. */
  back: (from: HTMLElement | null) => void;
}

export function PaintOver({ back }: Props) {
  const painting = useStored((state) => state.painting);
  return painting && <Over key={`${painting.node} ${painting.field}`} painting={painting} back={back} />;
}

function Over({ painting, back }: Props & { painting: Painting }) {
  const store = useStore();
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const place = root.current!;
    const from = (place.getRootNode() as Document | ShadowRoot).activeElement as HTMLElement | null;
    place.focus({ preventScroll: true });
    let end = (): void => {};
    let wanted = true;
    const leave = (): void => {
      store.showPaint(null);
      back(from);
    };
    const open = async (): Promise<void> => {
      const { image, mask, from: typed } = painting;
      const told = await store.ask({ type: "paint", name: image, mask, extends: typed !== null });
      const found = told.type === "paint" && (await store.model.widget_manager?.get_model(told.model));
      if (!wanted) return;
      if (!found) return leave();
      end = showPaint(found as unknown as Model, place, {
        used: (used) => {
          store.edit(maskChanges(store.state.getState(), painting, used));
          leave();
        },
        leave,
      });
    };
    void open();
    return () => {
      wanted = false;
      end();
    };
  }, [store, painting, back]);
  const key = (event: KeyboardEvent): void => {
    event.stopPropagation();
    if (event.key === "Escape") {
      store.showPaint(null);
      back(null);
    }
  };
  const label = `paint the mask of ${painting.node}`;
  return (
    <div
      ref={root}
      className="nbg-paint nowheel"
      role="dialog"
      aria-modal="true"
      aria-label={label}
      tabIndex={-1}
      onKeyDown={key}
    />
  );
}
