// How long the steps of a running node will still take, by the pace of those that were seen.
import type { NodeRun } from "./protocol.ts";

export type Since = Record<string, { step: number; at: number }>;

/** The first step that was seen of each node that runs, at a time in milliseconds; those that do not run are left out. */
export function sinceWhen(before: Since, nodes: Record<string, NodeRun>, at: number): Since {
  const now = { ...before };
  for (const [id, { status, step }] of Object.entries(nodes)) {
    if (status !== "running") delete now[id];
    else if (step && (!now[id] || now[id].step > step)) now[id] = { step, at };
  }
  return now;
}

/** "4 s left", or "" where too little was seen to tell, or less than a second is left. */
export function timeLeft({ step, steps }: NodeRun, since: Since[string] | undefined, at: number): string {
  if (!since || step <= since.step) return "";
  const left = (((at - since.at) / (step - since.step)) * (steps - step)) / 1000;
  if (left < 1) return "";
  const seconds = Math.round(left);
  return seconds < 90 ? `${seconds} s left` : `${Math.round(seconds / 60)} min left`;
}
