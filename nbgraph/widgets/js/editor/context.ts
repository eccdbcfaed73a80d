// The store and the view's own state, for every component below the editor.
import { createContext, useContext } from "react";
import { useStore as useZustand } from "zustand";

import type { Model } from "../model.ts";
import type { EditorState } from "./state.ts";
import type { EditorStore } from "./store.ts";

export const StoreContext = createContext<EditorStore | null>(null);

export function useStore(): EditorStore {
  return useContext(StoreContext)!;
}

/** A part of the store; the component draws itself anew when that part is another. The part must be stable. */
export function useStored<Part>(select: (state: EditorState) => Part): Part {
  return useZustand(useStore().state, select);
}

/** Shows another model in the place of this one. */
export const ReopenContext = createContext<(model: Model) => void>(() => {});

export function useReopen(): (model: Model) => void {
  return useContext(ReopenContext);
}

/** Shows the canvas of a model id, which the kernel opened, under this one. */
export const OpenBelowContext = createContext<(id: string) => void>(() => {});

export function useOpenBelow(): (id: string) => void {
  return useContext(OpenBelowContext);
}
