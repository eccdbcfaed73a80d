// What a run view says, as texts made from the state of a run.
import { seconds } from "./units.ts";

export interface NodeState {
  id: string;
  title: string;
  status: string;
  runs: number;
  of: number | null;
  cached: number;
  seconds: number;
  error: string;
  warning: string;
}

export interface RunState {
  status: string;
  seconds: number;
  left: number | null;
  fraction: number;
  done: number;
  cached: number;
  node: string;
  step: number;
  steps: number;
  message: string;
  error: string;
  results: string[];
  waits_for: string;
}

export interface RunMessage {
  type: "run";
  /** The id of the run. */
  run: string;
  state: RunState | null;
  nodes: NodeState[];
  whole: boolean;
  pictures: string[];
  preview: boolean;
  hasPreview: boolean;
  problem: string;
}

/** `3 done, 1 cached · 4.2 s · about 8 s left`; `later` is how long ago the kernel said so. */
export function headLine(state: RunState, later: number): string {
  const live = state.status === "running";
  const parts = [`${state.done} done${state.cached ? `, ${state.cached} cached` : ""}`];
  if (state.status === "pending") parts[0] = "waiting for its turn";
  if (live && state.waits_for) parts[0] = state.waits_for;
  parts.push(seconds(state.seconds + (live ? later : 0)));
  if (live && state.left !== null) {
    const left = Math.max(1, Math.round(state.left - later));
    parts.push(`about ${left < 60 ? `${left} s` : `${Math.round(left / 60)} min`} left`);
  }
  return parts.join(" · ");
}

export function statusWord(status: string, cancelling: boolean): string {
  if (cancelling) return "cancelling …";
  return status === "pending" ? "waiting" : status;
}

/** What stands at the end of a node's line. */
export function nodeMeta(node: NodeState): string {
  const many = node.of !== null && node.of > 1 ? `${node.runs}/${node.of} · ` : node.runs > 1 ? `${node.runs}× · ` : "";
  if (node.status === "cached") return `${many}cached`;
  if (node.status === "done") return `${many}${node.cached ? `${node.cached} cached · ` : ""}${seconds(node.seconds)}`;
  if (node.status === "waiting") return "";
  if (node.status === "skipped") return "not run";
  return `${many}${node.status}`;
}
