// A new cell under the one that shows a widget, where the host is a notebook of Jupyter.
import type { Model } from "../model.ts";

interface Cells {
  insertCell(place: number, cell: { cell_type: "code"; source: string }): unknown;
  cells: { length: number };
}

/** What writes a text into a new cell below, or null where there is no notebook, as in an exported page. */
export async function cellBelow(model: Model, inside: Element): Promise<((text: string) => void) | null> {
  const manager = model.widget_manager as { context?: { model?: { sharedModel?: Partial<Cells> } } } | undefined;
  const notebook = manager?.context?.model?.sharedModel;
  const place = placeOf(inside);
  if (!notebook?.insertCell || place === null) return null;
  return (text) => void notebook.insertCell!(place + 1, { cell_type: "code", source: text });
}

/** The number of the cell that an element is in. Cells out of view are not in the page, so Jupyter's own number counts. */
function placeOf(inside: Element): number | null {
  const cell = inside.closest<HTMLElement>(".jp-Notebook .jp-Cell");
  const own = Number(cell?.dataset.windowedListIndex ?? Number.NaN);
  if (Number.isInteger(own)) return own;
  const all = cell ? [...cell.parentElement!.querySelectorAll(":scope > .jp-Cell")] : [];
  return cell && all.includes(cell) ? all.indexOf(cell) : null;
}
