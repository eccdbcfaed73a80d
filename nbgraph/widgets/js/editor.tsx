// The graph editor: one store a model, one React root a view.
import "@xyflow/react/dist/base.css";
import "./editor.css";
import "./editor/code.css";
import "./editor/node.css";

import { ReactFlowProvider } from "@xyflow/react";
import { createRoot } from "react-dom/client";

import { Below } from "./below.ts";
import { element } from "./dom.ts";
import { OpenBelowContext, ReopenContext, StoreContext } from "./editor/context.ts";
import { Editor } from "./editor/Editor.tsx";
import { guard } from "./editor/guard.ts";
import { EditorStore } from "./editor/store.ts";
import { followTheme } from "./editor/theme.ts";
import { linkOf } from "./kernel.ts";
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
    const place = element("div", { class: "nbg-place" });
    const below = new Below(model, (context) => editor.render(context));
    el.replaceChildren(place, below.root);
    const root = createRoot(place);
    const openBelow = (id: string): void => void below.show(id);
    let release = (): void => {};
    el.classList.add("nbg");
    const unfollow = followTheme(el);
    const show = (shown: Model): void => {
      const store = storeOf(linkOf(shown).model);
      release();
      release = guard(el, store.draw);
      root.render(
        <ReopenContext value={show}>
          <OpenBelowContext value={openBelow}>
            <StoreContext value={store}>
              <ReactFlowProvider key={String(shown.get("_id"))}>
                <Editor />
              </ReactFlowProvider>
            </StoreContext>
          </OpenBelowContext>
        </ReopenContext>,
      );
    };
    show(model);
    return () => {
      release();
      unfollow();
      below.close();
      root.unmount();
    };
  },
};
