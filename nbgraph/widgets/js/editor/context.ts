// The store and the view's own state, for every component below the editor.
import { createContext, useContext, useSyncExternalStore } from "react";

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
