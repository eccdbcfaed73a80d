// Files that are dropped or pasted: a graph is put onto the canvas, a picture without one becomes an image node.
import { insert, type View } from "./actions.ts";
import { addNode, freeId } from "./commands.ts";
import type { EditorStore } from "./store.ts";

export const PICTURES = ["image/png", "image/jpeg", "image/webp"];
type Point = { x: number; y: number };

/** Whether something with files is dragged over the page. */
export const hasFiles = (data: DataTransfer | null): boolean => [...(data?.types ?? [])].includes("Files");

/** Put the graph of a file onto the canvas at a place; a refusal is shown by the store. */
export async function takeFile(view: View, file: File, at: Point): Promise<void> {
  const { store } = view;
  if (store.readOnly) return store.toast(`Look only: ${store.readOnly}`, "refusal");
  const bytes = await file.arrayBuffer();
  const told = await store.ask({ type: "file", name: file.name.slice(0, 200) }, [bytes]);
  if (told.type === "file") {
    insert(view, told.template, at);
    store.toast(`${file.name}: ${told.report}`);
  } else if (PICTURES.includes(file.type)) await addImage(view, file, at);
}

/** A picture that no recipe was found in is an image on the canvas. */
async function addImage(view: View, file: File, at: Point): Promise<void> {
  const { store } = view;
  const name = await upload(store, file);
  if (!name) return;
  const id = freeId(store.document, "image");
  store.edit([...addNode(id, "image", at.x, at.y), ["input", id, "image", { value: { image_name: name } }]]);
  view.select([id]);
}

/** The name of a picture that is kept in the studio now; null where it was refused. */
export async function upload(store: EditorStore, file: File): Promise<string | null> {
  const told = await store.ask({ type: "upload" }, [await file.arrayBuffer()]);
  return told.type === "uploaded" ? told.name : null;
}
