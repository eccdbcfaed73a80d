// Messages from the kernel.
import type { Compared, Opened } from "../gallery/protocol.ts";
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
  /** The seed that a node drew, as it is typed, or "". */
  seed?: string;
  /** The picture that is its result, by its name in the studio, or "". */
  image?: string;
}

/** The graph as Python; `mark` says which code it is. */
export interface Code {
  text: string;
  mark: string;
  /** What was typed was not drawn: why, and the line that is to blame. */
  error?: string;
  line?: number;
  /** What was typed was not drawn: the graph has changed since the code that it was made from. */
  stale?: boolean;
}

/** A model that can be named, and what its file says it is. */
export interface ModelFile {
  name: string;
  kind: string;
  family: string;
}

/** A graph of the studio's library, as changes upon an empty document. */
export interface Template {
  name: string;
  description: string;
  changes: Change[];
}

/** Nodes that another graph lacks, or has with other inputs, and what is not here any more. */
export interface Marks {
  nodes: Record<string, "added" | "changed">;
  text: string;
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
      templates?: Template[];
      canRun: boolean;
      marks?: Marks;
    }
  | ({ type: "patch"; revision: number; changes: Change[]; author: string } & Derived)
  | {
      type: "done";
      request: number;
      revision: number;
      reasons?: Record<string, Reason | null>;
      /** What a run would cost, in a few words, or "". */
      expected?: string;
      text?: string;
      session?: string;
      /** Nodes whose results are in the cache, with their pictures in the buffers. */
      cached?: Record<string, NodeRun>;
    }
  | ({ type: "code"; request: number } & Code)
  | { type: "models"; request: number; models: ModelFile[] }
  | ({ type: "picture"; request: number } & Opened)
  | ({ type: "compared"; request: number } & Compared)
  | { type: "canvas"; request: number; model: string }
  | { type: "paint"; request: number; model: string }
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
  | { type: "types"; types: Schema["types"]; assignable: Schema["assignable"] }
  | { type: "ran" }
  | { type: "pictures"; request: number; names: string[]; newest: boolean }
  | { type: "file"; request: number; template: Template; report: string }
  | { type: "uploaded"; request: number; name: string };
