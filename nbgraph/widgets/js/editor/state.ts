// What the components of the canvas draw: the document with what follows from it, and the view of its runs.
import { emptyDocument, type GraphDocument } from "./document.ts";
import type { Painting } from "./painting.ts";
import type { Marks, ModelFile, NodeRun, Problem, Reason, Template } from "./protocol.ts";
import { emptySchema, type Schema } from "./schema.ts";

export interface Toast {
  id: number;
  text: string;
  kind: "refusal" | "notice";
}

export interface DocumentState {
  /** The document as the person sees it: what the kernel confirmed, with the edits that are on their way. */
  document: GraphDocument;
  schema: Schema;
  problems: Record<string, Problem[]>;
  models: string[];
  /** All model files with their kinds, as far as they were asked for. */
  shelf: ModelFile[] | null;
  templates: Template[];
  canRun: boolean;
  readOnly: string;
  path: string[];
  depths: { undo: number; redo: number };
  reasons: Record<string, Reason>;
  /** What a run would cost, in a few words, or "". */
  expected: string;
  marks: Marks;
  /** Nodes that were edited since the last run began. */
  edited: Record<string, true>;
  refused: Record<string, string>;
  live: boolean;
  /** The kernel is gone for good: what is shown is all there is of the document. */
  lost: boolean;
}

export interface ViewState {
  run: { session: string; status: string; waitsFor: string; waiting: number };
  runs: Record<string, NodeRun>;
  /** The first step of a running node that was heard of, and when; `heard` is the time of the last message. */
  since: Record<string, { step: number; at: number }>;
  heard: number;
  /** The last picture of a node, a preview while it runs. */
  pictures: Record<string, string>;
  /** The results of a node, the newest first. */
  results: Record<string, string[]>;
  /** The names of pictures in the studio, by their addresses here. */
  names: Record<string, string>;
  /** The result that is shown in full size. */
  large: { node: string; url: string } | null;
  /** The mask that is painted over the canvas. */
  painting: Painting | null;
  thumbnails: Record<string, string>;
  newest: string[];
  toasts: Toast[];
  /** Nodes whose folded inputs and outputs are shown. */
  unfolded: Record<string, boolean>;
}

export type EditorState = DocumentState & ViewState;

export const initialState = (): EditorState => ({
  document: emptyDocument(),
  schema: emptySchema(),
  problems: {},
  models: [],
  shelf: null,
  templates: [],
  canRun: false,
  readOnly: "",
  path: [],
  depths: { undo: 0, redo: 0 },
  reasons: {},
  expected: "",
  marks: { nodes: {}, text: "" },
  edited: {},
  refused: {},
  live: false,
  lost: false,
  run: { session: "", status: "", waitsFor: "", waiting: 0 },
  runs: {},
  since: {},
  heard: 0,
  pictures: {},
  results: {},
  names: {},
  large: null,
  painting: null,
  thumbnails: {},
  newest: [],
  toasts: [],
  unfolded: {},
});

const NO_PROBLEMS: Problem[] = [];

export const problemsOf = (state: DocumentState, id: string): Problem[] => state.problems[id] ?? NO_PROBLEMS;
