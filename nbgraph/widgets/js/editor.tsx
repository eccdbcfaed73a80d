// The graph editor: one store a model, one React root a view.
import "@xyflow/react/dist/base.css";
import "./editor.css";

import { ReactFlowProvider } from "@xyflow/react";
import { createRoot } from "react-dom/client";

import { StoreContext } from "./editor/context.ts";
import { Editor } from "./editor/Editor.tsx";
import { guard } from "./editor/guard.ts";
import { EditorStore } from "./editor/store.ts";
import type { Model, Widget } from "./model.ts";

const stores = new WeakMap<object, EditorStore>();

/** Views of one model share its store; the model itself may come wrapped, its comm or manager does not. */
function storeOf(model: Model): EditorStore {
  const found = stores.get(model) ?? new EditorStore(model);
  stores.set(model, found);
  return found;
}

export const editor: Widget = {
  render({ model, el }) {
    const store = storeOf(model);
    const root = createRoot(el);
    const release = guard(el, store.draw);
    el.classList.add("nbg");
    root.render(
      <StoreContext value={store}>
        <ReactFlowProvider>
          <Editor />
        </ReactFlowProvider>
      </StoreContext>,
    );
    return () => {
      release();
      root.unmount();
    };
  },
};
