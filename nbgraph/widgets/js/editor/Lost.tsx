// Where a drawing is kept, and, once the kernel of a canvas is gone, how to go on with it.
import "../kernel.css";

import { useState, useSyncExternalStore } from "react";

import { linkOf, openDocument, type Saved } from "../kernel.ts";
import { copy } from "../kernel_banner.ts";
import { useReopen, useStore, useStored } from "./context.ts";
import { graphJson } from "./graph_json.ts";

export function Lost() {
  const store = useStore();
  const link = linkOf(store.model);
  const { lost, silent, saved } = useSyncExternalStore(link.subscribe, () => link.state);
  const storeLost = useStored((one) => one.lost);
  if (lost || storeLost) return <Gone saved={saved} />;
  return (
    <>
      {silent && (
        <div className="nbk-banner nbk-inside nbk-soft" role="status">
          Waiting for the kernel: it has not answered for a while. A cell may keep it busy.
        </div>
      )}
      {saved && <Notice key={saved.notice} saved={saved} />}
    </>
  );
}

/** The drawing is safe in the studio, or only here: what to type, or to keep. */
function Gone({ saved }: { saved: Saved | null }) {
  const store = useStore();
  const [text, setText] = useState<string | null>(null);
  const show = (): void => {
    const json = graphJson(store.document);
    setText(json);
    void navigator.clipboard?.writeText(json).then(
      () => store.toast("copied"),
      () => undefined,
    );
  };
  const isKept = Boolean(saved?.call);
  return (
    <div className="nbk-banner nbk-inside" role="alert">
      <span>
        The kernel was restarted or ended, and this canvas is not connected any more: it can neither be edited nor run.{" "}
        {isKept
          ? `The drawing is kept in the studio as “${saved!.name}”${saved!.isSaved ? "" : ", perhaps without its last edits"}. Make the studio again, then:`
          : "Run its cell again for a new one."}
      </span>
      {isKept && <Call call={saved!.call} />}
      {isKept && <Reopen saved={saved!} />}
      <span>
        {isKept
          ? "Or keep what is shown as a file:"
          : "What is drawn here can be kept as a file, for studio.edit(path):"}
      </span>
      <button type="button" className="nbk-button" onClick={show}>
        Copy JSON
      </button>
      <button type="button" className="nbk-button" onClick={() => download(graphJson(store.document))}>
        Download graph.json
      </button>
      {text !== null && (
        <textarea
          className="nowheel"
          readOnly
          rows={4}
          value={text}
          aria-label="the graph as JSON"
          onFocus={(event) => event.target.select()}
        />
      )}
    </div>
  );
}

function Call({ call }: { call: string }) {
  const [copied, setCopied] = useState(false);
  const [code, setCode] = useState<HTMLElement | null>(null);
  return (
    <span className="nbk-call">
      <code ref={setCode}>{call}</code>
      <button
        type="button"
        className="nbk-button"
        aria-label={`Copy ${call}`}
        onClick={() => code && void copy(call, code).then(() => setCopied(true))}
      >
        {copied ? "Copied" : "Copy"}
      </button>
    </span>
  );
}

/** Open the drawing in this place, if the kernel that runs now has its studio open. */
function Reopen({ saved }: { saved: Saved }) {
  const store = useStore();
  const reopen = useReopen();
  const [state, setState] = useState<"" | "asking" | "refused">("");
  const open = async (): Promise<void> => {
    setState("asking");
    const model = await openDocument(store.model, saved.id);
    if (model) reopen(model);
    else setState("refused");
  };
  return (
    <>
      <button type="button" className="nbk-button" disabled={state === "asking"} onClick={() => void open()}>
        {state === "asking" ? "Asking the kernel…" : "Open it here again"}
      </button>
      {state === "refused" && (
        <span role="status">The kernel has no studio with this drawing yet: run the cell that makes it.</span>
      )}
    </>
  );
}

/** Somebody else changed the document meanwhile, or it has another name than was asked for. */
function Notice({ saved }: { saved: Saved }) {
  const [seen, setSeen] = useState(false);
  if (!saved.notice || seen) return null;
  return (
    <div className="nbk-banner nbk-inside" role="alert">
      <span>{saved.notice}</span>
      <button type="button" className="nbk-button" onClick={() => setSeen(true)}>
        OK
      </button>
    </div>
  );
}

/** The name of the drawing, and whether it is saved. */
export function SavedMark() {
  const store = useStore();
  const link = linkOf(store.model);
  const { lost, saved } = useSyncExternalStore(link.subscribe, () => link.state);
  if (lost || !saved) return null;
  const word = saved.problem || (saved.isSaved ? "saved" : saved.version === null ? "" : "…");
  const place = saved.call ? `opens again by ${saved.call}` : "kept until the kernel ends";
  return (
    <div
      className="nbk-saved"
      data-problem={Boolean(saved.problem)}
      title={saved.version === null ? "nothing is kept yet" : place}
      role="status"
    >
      {word ? `${saved.name} · ${word}` : saved.name}
    </div>
  );
}

function download(text: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "graph.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
