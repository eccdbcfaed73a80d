// Shown once the kernel of a canvas is gone: what that means, and how to keep what is drawn.
import { useState } from "react";

import { useStore, useStored } from "./context.ts";
import { graphJson } from "./graph_json.ts";

export function Lost() {
  const store = useStore();
  const lost = useStored((one) => one.lost);
  const [text, setText] = useState<string | null>(null);
  if (!lost) return null;
  const show = (): void => {
    const json = graphJson(store.document);
    setText(json);
    void navigator.clipboard?.writeText(json).then(
      () => store.toast("copied"),
      () => undefined,
    );
  };
  return (
    <div className="nbg-lost" role="alert">
      The kernel was restarted or ended, and this canvas is not connected any more: it can neither be edited nor run.
      Run its cell again for a new one. What is drawn here can be kept as a file, which{" "}
      <code>studio.edit("graph.json")</code> opens:{" "}
      <button type="button" onClick={show}>
        Copy JSON
      </button>{" "}
      <button type="button" onClick={() => download(graphJson(store.document))}>
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

function download(text: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "graph.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
