// A model as anywidget gives it, with a kernel that is a list.
import type { Model } from "../model.ts";
import type { Snapshot } from "./protocol.ts";

const input = (name: string, type: string, more = {}) => ({
  name,
  type,
  control: "int",
  required: false,
  optional: false,
  many: false,
  default: 0,
  ...more,
});

export const TYPES: any = {
  integer: {
    title: "Integer",
    category: "primitives",
    description: "A whole number.",
    inputs: [input("value", "int")],
    outputs: [{ name: "value", type: "int" }],
  },
  add: {
    title: "Add",
    category: "math",
    description: "",
    inputs: [input("a", "int"), input("b", "int")],
    outputs: [{ name: "value", type: "int" }],
  },
  collect: {
    title: "Collect",
    category: "control flow",
    description: "",
    inputs: [input("item", "Any", { many: true, control: "none" })],
    outputs: [{ name: "collection", type: "list[Any]" }],
  },
  prompt: {
    title: "Prompt",
    category: "conditioning",
    description: "",
    inputs: [
      input("text", "str", { control: "text" }),
      input("clip", "ClipField", { control: "none", required: true }),
    ],
    outputs: [{ name: "conditioning", type: "ConditioningField" }],
  },
};
export const ASSIGNABLE = {
  int: ["int", "str", "Any"],
  "list[Any]": ["list[Any]", "Any"],
  ConditioningField: ["ConditioningField", "Any"],
};

export const SNAPSHOT: Snapshot = {
  revision: 3,
  changes: [
    ["node", "one", "", { type: "integer" }],
    ["input", "one", "value", { value: 1 }],
    ["layout", "one", "x", 0],
    ["layout", "one", "y", 0],
    ["node", "sum", "", { type: "add" }],
    ["input", "sum", "a", { links: [["one", "value"]] }],
    ["layout", "sum", "x", 300],
    ["layout", "sum", "y", 0],
    ["node", "ask", "", { type: "prompt" }],
    ["node", "all", "", { type: "collect" }],
  ],
  types: TYPES,
  readOnly: "",
  path: [],
  problems: {},
  varying: {},
  library: {},
  undo: 0,
  redo: 0,
};

export class FakeModel implements Model {
  sent: any[] = [];
  private listeners = new Map<string, ((...values: any[]) => void)[]>();

  comm = { comm_live: true };
  widget_manager = { get_model: async () => this.comm };
  get(name: string): unknown {
    return name === "_document" ? SNAPSHOT : undefined;
  }
  on(event: string, callback: (...values: any[]) => void): void {
    this.listeners.set(event, [...(this.listeners.get(event) ?? []), callback]);
  }
  off(): void {}
  send(content: unknown): void {
    this.sent.push(content);
  }
  /** The kernel goes, as Jupyter's widget manager tells it. */
  disconnect(): void {
    this.comm.comm_live = false;
    for (const listener of this.listeners.get("comm_live_update") ?? []) listener();
  }
  tell(content: any, buffers: DataView[] = []): void {
    for (const listener of this.listeners.get("msg:custom") ?? []) listener(content, buffers);
  }
}
