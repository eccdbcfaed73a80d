// Node types as nbgraph/widgets/schema.py tells them.
import type { GraphNode } from "./document.ts";
import type { Exact } from "./exact.ts";

export type Control =
  | "int"
  | "float"
  | "bool"
  | "choice"
  | "seed"
  | "text"
  | "line"
  | "list"
  | "model"
  | "image"
  | "colour"
  | "none";

export interface InputType {
  name: string;
  type: string;
  control: Control;
  required: boolean;
  optional: boolean;
  many: boolean;
  default?: any;
  /** Its field is shown once it is used. */
  rare?: boolean;
  /** The label, where the class gives one. */
  label?: string;
  description?: string;
  choices?: any[];
  /** The kinds of model files that it takes. */
  kinds?: string[];
  min?: number | Exact;
  max?: number | Exact;
  above?: number | Exact;
  below?: number | Exact;
  step?: number;
}

export interface NodeType {
  title: string;
  category: string;
  description: string;
  /** It was defined in the notebook. */
  own?: boolean;
  inputs: InputType[];
  outputs: { name: string; type: string }[];
}

export interface Schema {
  types: Record<string, NodeType>;
  /** By node id: library graphs have inputs and outputs of their own. */
  library: Record<string, NodeType>;
  /** By node id and output: outputs that take the type of what arrives. */
  varying: Record<string, Record<string, string>>;
  /** Output type -> input types it may go to. */
  assignable: Record<string, string[]>;
}

export const emptySchema = (): Schema => ({ types: {}, library: {}, varying: {}, assignable: {} });

export const typeOf = (schema: Schema, node: GraphNode): NodeType | undefined =>
  schema.library[node.id] ?? schema.types[node.type];

/** The type an output has now; one the table does not know counts as Any, and the kernel decides. */
export function outputType(schema: Schema, node: GraphNode, output: string): string | undefined {
  const declared = typeOf(schema, node)?.outputs.find((one) => one.name === output)?.type;
  const now = schema.varying[node.id]?.[output];
  return now && now in schema.assignable ? now : declared;
}

export function fits(schema: Schema, given: string, wanted: string): boolean {
  const targets = schema.assignable[given];
  return given === wanted || given === "Any" || wanted === "Any" || !targets || targets.includes(wanted);
}

/** `ImageField | None` -> "Image", `list[int]` -> "int" and many. */
export function shortType(type: string): { base: string; list: boolean } {
  const bare = type.replace(/ \| None$/, "");
  const list = /^list\[(.*)\]$/.exec(bare);
  return { base: (list?.[1] ?? bare).replace(/Field$/, ""), list: list !== null || bare === "list" };
}
