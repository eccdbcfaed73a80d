// The state of a node, one chip in its header: how its run went, or whether it will run and why.
import { seconds } from "../units.ts";
import { useStored } from "./context.ts";
import type { NodeRun, Reason } from "./protocol.ts";
import { isStale } from "./stale.ts";

const WORDS: Record<NodeRun["status"], string> = {
  waiting: "waits",
  running: "runs",
  done: "✓",
  cached: "↺ cached",
  failed: "✗ failed",
  cancelled: "■ cancelled",
  skipped: "– skipped",
};

/** `short` where the title leaves no room for words. */
export function NodeState({ id, short }: { id: string; short: boolean }) {
  const run = useStored((store) => store.runs[id]);
  const reason = useStored((store) => store.reasons[id]);
  const canRun = useStored((store) => store.canRun);
  const stale = useStored((store) => isStale(store, id));
  const because = canRun && reason ? reasonText(reason) : "";
  if (run?.status === "running") return <Running id={id} run={run} />;
  const older = !run || (stale && (run.status === "done" || run.status === "cached"));
  if (because && reason.run && older) {
    return (
      <span className="nbg-state nbg-state-stale" title={because}>
        <svg viewBox="0 0 10 10" aria-hidden="true">
          <circle cx="5" cy="5" r="3.5" />
        </svg>
        <Because text={because} />
      </span>
    );
  }
  if (!run && !because) return null;
  const words = run ? `${WORDS[run.status]}${run.status === "done" ? ` ${seconds(run.seconds)}` : ""}` : "↺ cached";
  const text = short && words.endsWith("cached") ? <Sign words={words} /> : words;
  const times = run && run.runs > 1 ? ` ×${run.runs}` : "";
  return (
    <span className={`nbg-state nbg-state-${run?.status ?? "cached"}`} title={because || undefined}>
      {text}
      {times}
      {because && <Because text={because} />}
    </span>
  );
}

function Running({ id, run }: { id: string; run: NodeRun }) {
  const share = run.steps ? run.step / run.steps : 0;
  return (
    <span
      className="nbg-state nbg-state-running"
      role="progressbar"
      aria-valuemin={0}
      aria-valuemax={run.steps || undefined}
      aria-valuenow={run.steps ? run.step : undefined}
      aria-label={`${id} is running`}
    >
      {run.steps ? `${run.step} / ${run.steps}` : "runs"}
      <i
        className={`nbg-progress${run.steps ? "" : " nbg-unmeasured"}`}
        style={{ transform: `scaleX(${share || 0.3})` }}
      />
    </span>
  );
}

const Sign = ({ words }: { words: string }) => (
  <>
    {words.slice(0, 1)}
    <span className="nbg-unseen">{words.slice(1)}</span>
  </>
);

/** For page readers; others have it as a tooltip. */
const Because = ({ text }: { text: string }) => <span className="nbg-reason nbg-unseen">{text}</span>;

const reasonText = (reason: Reason): string => (reason.run ? `will run: ${reason.because}` : "cached");
