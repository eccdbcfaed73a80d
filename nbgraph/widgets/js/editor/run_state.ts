// What messages about runs and pictures make of the view: each function returns the part of the state that is new.
import type { NodeRun, Told } from "./protocol.ts";
import type { EditorState } from "./state.ts";
import { sinceWhen } from "./time_left.ts";

const KEPT_RESULTS = 8;

/** The run went on, or another one began. */
export function afterRun(
  now: EditorState,
  told: Extract<Told, { type: "run" }>,
  buffers: DataView[],
): Partial<EditorState> {
  const { run, pictures, results, names } = now;
  const other = told.session !== run.session || told.whole;
  const cancelling = run.status === "cancelling" && told.status === "running" && told.session === run.session;
  const status = cancelling ? "cancelling" : told.status;
  const runs = { ...(other ? {} : now.runs), ...told.nodes };
  const fresh = urls(told.pictures, buffers);
  const kept = { ...results };
  const named = { ...names };
  for (const id of told.pictures) {
    const before = told.whole ? (kept[id] ?? []).slice(1) : (kept[id] ?? []);
    if (pictures[id] && !before.includes(pictures[id])) URL.revokeObjectURL(pictures[id]);
    // A preview may come together with the end of its node; only what has a name in the studio is a result.
    if (runs[id]?.status === "running" || !runs[id]?.image) continue;
    kept[id] = withNewest(before, fresh[id]);
    named[fresh[id]] = runs[id].image ?? "";
  }
  const heard = performance.now();
  return {
    heard,
    since: sinceWhen(other ? {} : now.since, told.nodes, heard),
    run: { session: told.session, status, waitsFor: told.waitsFor, waiting: told.waiting },
    runs,
    edited: told.session === run.session ? now.edited : {},
    pictures: { ...pictures, ...fresh },
    results: kept,
    names: named,
  };
}

/** The graph as it is now has results in the cache: they are its nodes' pictures before it runs. */
export function afterCached(
  now: EditorState,
  cached: Record<string, NodeRun>,
  buffers: DataView[],
): Partial<EditorState> {
  const ids = Object.keys(cached);
  if (!ids.length) return {};
  const { runs, pictures, results, names } = now;
  const fresh = urls(ids, buffers);
  return {
    runs: { ...runs, ...cached },
    pictures: { ...pictures, ...fresh },
    results: { ...results, ...Object.fromEntries(ids.map((id) => [id, withNewest(results[id] ?? [], fresh[id])])) },
    names: { ...names, ...Object.fromEntries(ids.map((id) => [fresh[id], cached[id].image ?? ""])) },
  };
}

/** Thumbnails came. */
export function afterPictures(
  now: EditorState,
  told: Extract<Told, { type: "pictures" }>,
  buffers: DataView[],
): Partial<EditorState> {
  const thumbnails = { ...now.thumbnails, ...urls(told.names, buffers) };
  return told.newest ? { thumbnails, newest: told.names } : { thumbnails };
}

/** The results of a node with a new one at their front; those that are too many are let go. */
function withNewest(before: string[], url: string): string[] {
  for (const old of before.slice(KEPT_RESULTS - 1)) URL.revokeObjectURL(old);
  return [url, ...before.slice(0, KEPT_RESULTS - 1)];
}

function urls(names: string[], buffers: DataView[]): Record<string, string> {
  const found = names.map((name, number) => [name, URL.createObjectURL(new Blob([buffers[number] as BlobPart]))]);
  return Object.fromEntries(found);
}
