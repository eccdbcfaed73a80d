// The store and the view's own state, for every component below the editor.
import { createContext, useContext, useSyncExternalStore } from "react";

import type { Model } from "../model.ts";
import type { EditorStore } from "./store.ts";

export const StoreContext = createContext<EditorStore | null>(null);

export function useStore(): EditorStore {
  return useContext(StoreContext)!;
}

/** A part of the store; the component draws itself anew when that part is another. The part must be stable. */
export function useStored<Part>(select: (store: EditorStore) => Part): Part {
  const store = useStore();
  return useSyncExternalStore(store.subscribe, () => select(store));
}

/** Shows another model in the place of this one. */
export const ReopenContext = createContext<(model: Model) => void>(() => {});

export function useReopen(): (model: Model) => void {
  return useContext(ReopenContext);
}
