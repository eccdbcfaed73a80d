// The state of a node's run: a ring while it runs, a sign and a word after.
import { useStored } from "./context.ts";
import type { NodeRun } from "./protocol.ts";

const SIGNS: Record<NodeRun["status"], string> = {
  waiting: "…",
  running: "",
  done: "✓",
  cached: "⟲",
  failed: "✗",
  cancelled: "■",
  skipped: "–",
};
const ROUND = 2 * Math.PI * 7;

export function RunState({ id }: { id: string }) {
  const run = useStored((store) => store.runs[id]);
  if (!run) return null;
  const times = run.runs > 1 ? ` ×${run.runs}` : "";
  const label = `${run.status}${times}${run.status === "done" ? `, ${seconds(run.seconds)}` : ""}`;
  if (run.status === "running") {
    const share = run.steps ? run.step / run.steps : 0;
    return (
      <span
        className="nbg-state"
        role="progressbar"
        aria-valuemin={0}
        aria-valuemax={run.steps || undefined}
        aria-valuenow={run.steps ? run.step : undefined}
        aria-label={`${id} is running`}
      >
        <svg width="18" height="18" viewBox="0 0 18 18" aria-hidden="true" className={run.steps ? "" : "nbg-spin"}>
          <circle cx="9" cy="9" r="7" className="nbg-ring-back" />
          <circle
            cx="9"
            cy="9"
            r="7"
            className="nbg-ring"
            strokeDasharray={`${(run.steps ? share : 0.25) * ROUND} ${ROUND}`}
            transform="rotate(-90 9 9)"
          />
        </svg>
        {run.steps ? `${run.step}/${run.steps}` : ""}
      </span>
    );
  }
  return (
    <span className={`nbg-state nbg-state-${run.status}`} role="img" title={label} aria-label={label}>
      {SIGNS[run.status]} {run.status === "done" ? seconds(run.seconds) : run.status === "waiting" ? "" : run.status}
      {times}
    </span>
  );
}

const seconds = (value: number): string => (value < 0.1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(1)} s`);
