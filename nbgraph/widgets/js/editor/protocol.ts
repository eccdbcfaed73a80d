// Messages from the kernel.
import type { Change } from "./changes.ts";
import type { NodeType, Schema } from "./schema.ts";

export interface Problem {
  kind: string;
  message: string;
  node: string | null;
  field: string | null;
}

/** What follows from the document, by node id ("" for the whole graph); null: nothing any more. */
export interface Derived {
  problems: Record<string, Problem[] | null>;
  varying: Record<string, Record<string, string> | null>;
  library: Record<string, NodeType | null>;
  undo: number;
  redo: number;
}

export interface Snapshot extends Derived {
  revision: number;
  changes: Change[];
  types: Schema["types"];
  readOnly: string;
  path: string[];
}

export interface NodeRun {
  status: "waiting" | "running" | "done" | "cached" | "failed" | "cancelled" | "skipped";
  step: number;
  steps: number;
  runs: number;
  cached: number;
  seconds: number;
  error: string;
  warning: string;
}

export interface Reason {
  run: number;
  cached: number;
  because: string;
}

export type Told =
  | {
      type: "document";
      document: Snapshot | null;
      types: Schema["types"];
      assignable: Schema["assignable"];
      models: string[];
      canRun: boolean;
    }
  | ({ type: "patch"; revision: number; changes: Change[]; author: string } & Derived)
  | {
      type: "done";
      request: number;
      revision: number;
      reasons?: Record<string, Reason | null>;
      text?: string;
      session?: string;
    }
  | { type: "refused"; request: number; message: string; stale?: boolean; problems?: Problem[] }
  | {
      type: "run";
      session: string;
      status: string;
      waitsFor: string;
      waiting: number;
      nodes: Record<string, NodeRun>;
      pictures: string[];
      whole: boolean;
    }
  | { type: "ran" }
  | { type: "pictures"; request: number; names: string[]; newest: boolean }
  | { type: "uploaded"; request: number; name: string };
