// What the context menus offer: on nodes, on wires, and on the empty canvas.
import { act, type View } from "./actions.ts";
import { disconnect } from "./commands.ts";
import { endsOf } from "./flow.ts";
import { type Command, keysOf } from "./keys.ts";
import type { Item, Items } from "./Menu.tsx";
import { canPaint, paintingOf } from "./painting.ts";

export type Place = { kind: "node" | "note" | "edge"; id: string } | { kind: "pane" };

const command = (view: View, label: string, name: Command, more: Partial<Item> = {}): Item => ({
  label,
  keys: keysOf(name),
  act: () => act(view, name),
  ...more,
});

export function menuOf(view: View, place: Place): Items {
  const { store } = view;
  const readOnly = store.readOnly !== "";
  if (place.kind === "edge") {
    const ends = endsOf(place.id);
    const remove = (): void => store.edit(disconnect(store.document, [ends]));
    return [
      { label: "Go to its beginning", act: () => view.select([ends.source]) },
      { label: "Go to its end", act: () => view.select([ends.target]) },
      null,
      { label: "Delete wire", keys: keysOf("delete"), act: remove, disabled: readOnly, danger: true },
    ];
  }
  if (place.kind === "pane") return paneMenu(view, readOnly);
  return place.kind === "note" ? noteMenu(view, readOnly) : nodeMenu(view, place.id, readOnly);
}

function nodeMenu(view: View, id: string, readOnly: boolean): Items {
  const { store } = view;
  const node = store.document.nodes.get(id);
  const busy = !store.canRun || store.path.length > 0;
  return [
    command(view, "Run to here", "runTo", { disabled: busy }),
    ...paintItem(view, id, readOnly),
    ...(node?.type === "graph" ? [command(view, "Open library graph", "open")] : []),
    null,
    command(view, "Copy", "copy"),
    command(view, "Cut", "cut", { disabled: readOnly }),
    command(view, "Duplicate", "duplicate", { disabled: readOnly }),
    command(view, "Rename…", "rename", { disabled: readOnly }),
    null,
    command(view, "Mute", "mute", { disabled: readOnly }),
    command(view, "Bypass", "bypass", { disabled: readOnly }),
    command(view, "Collapse", "collapse", { disabled: readOnly }),
    command(view, "Put into a frame", "frame", { disabled: readOnly }),
    command(view, "Make a library graph…", "subgraph", { disabled: readOnly }),
    command(view, "Lay out", "layout", { disabled: readOnly }),
    command(view, "Fit into view", "fit"),
    null,
    command(view, "Delete", "delete", { disabled: readOnly, danger: true }),
  ];
}

export const NO_IMAGE = "there is no image to paint on yet: choose one, or run the graph up to it";

function paintItem({ store }: View, id: string, readOnly: boolean): Items {
  const state = store.state.getState();
  if (!canPaint(state, id)) return [];
  const open = (): void => {
    const painting = paintingOf(store.state.getState(), id);
    if (painting) store.showPaint(painting);
    else store.toast(NO_IMAGE, "refusal");
  };
  return [{ label: "Paint mask…", act: open, disabled: readOnly || !store.canRun }];
}

const noteMenu = (view: View, readOnly: boolean): Items => [
  command(view, "Duplicate", "duplicate", { disabled: readOnly }),
  null,
  command(view, "Delete", "delete", { disabled: readOnly, danger: true }),
];

const paneMenu = (view: View, readOnly: boolean): Items => [
  command(view, "Add a node…", "add", { disabled: readOnly }),
  command(view, "Add a comment", "comment", { disabled: readOnly }),
  command(view, "Add a frame", "frame", { disabled: readOnly }),
  command(view, "Paste", "paste", { disabled: readOnly }),
  command(view, "Paste with wires", "pasteLinked", { disabled: readOnly }),
  null,
  command(view, "Select all", "selectAll"),
  command(view, "Lay out everything", "layout", { disabled: readOnly }),
  command(view, "Fit into view", "fit"),
  command(view, "Map", "minimap"),
  command(view, "Python code beside it", "code"),
  null,
  command(view, "Keys…", "keys"),
];
