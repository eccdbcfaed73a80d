// Says, while one drags an edge over a handle that does not take it, why not.
import { type Connection, type Edge, Panel, useConnection } from "@xyflow/react";

import { type Ends, whyNot } from "./connect.ts";
import { useStore } from "./context.ts";

export function ConnectionHint() {
  const store = useStore();
  const text = useConnection((connection) => {
    if (!connection.inProgress || !connection.toHandle || connection.isValid) return "";
    const { fromHandle, toHandle } = connection;
    if (fromHandle.type === toHandle.type)
      return fromHandle.nodeId === toHandle.nodeId ? "" : "an edge leads from an output to an input";
    const [from, to] = fromHandle.type === "source" ? [fromHandle, toHandle] : [toHandle, fromHandle];
    return whyNot(store.document, store.schema, {
      source: from.nodeId,
      output: from.id ?? "",
      target: to.nodeId,
      field: to.id ?? "",
    });
  });
  if (!text) return null;
  return (
    <Panel position="top-center" className="nbg-hint" role="status">
      {text}
    </Panel>
  );
}

export const endsFrom = (connection: Connection | Edge): Ends => ({
  source: connection.source,
  output: connection.sourceHandle ?? "",
  target: connection.target,
  field: connection.targetHandle ?? "",
});
