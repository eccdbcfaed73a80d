// A node on the canvas: what it is, its inputs and outputs, its problems, and what its run came to.
import {
  Handle,
  type Node,
  type NodeProps,
  Position,
  useStore as useFlow,
  useUpdateNodeInternals,
} from "@xyflow/react";
import { memo, useEffect } from "react";

import { useStore, useStored } from "./context.ts";
import type { GraphNode, Input } from "./document.ts";
import { expected, isTall } from "./expected.ts";
import { Field } from "./Field.tsx";
import { CategoryIcon, categoryColour, Icon } from "./icons.tsx";
import { hintOf, shortLabel } from "./labels.ts";
import { NodeState } from "./NodeState.tsx";
import { limits } from "./NumberInput.tsx";
import { type Context, isWanted, supply } from "./needs.ts";
import { givesMask } from "./painting.ts";
import type { Problem } from "./protocol.ts";
import { Picture } from "./Results.tsx";
import { foldText, isLinked, isNegative, rowsOf } from "./rows.ts";
import { type InputType, type NodeType, outputType, typeOf } from "./schema.ts";
import { problemsOf } from "./state.ts";
import { TypeMark } from "./TypeMark.tsx";

/** `used` are its outputs with an edge, one a line; `open` is whether what is folded is shown. */
export type FlowNode = Node<{ node: GraphNode; used: string; open: boolean }, "node">;
const FAR = 0.4;

export const NodeView = memo(function NodeView({ id, data, selected, height }: NodeProps<FlowNode>) {
  const { node } = data;
  const type = useStored((store) => typeOf(store.schema, node));
  const problems = useStored((store) => problemsOf(store, id));
  const far = useFlow((flow) => flow.transform[2] < FAR);
  const status = useStored((store) => store.runs[id]?.status ?? "");
  const mark = useStored((store) => store.marks.nodes[id] ?? "");
  const { collapsed, mode } = node.layout;
  const wrong = problems.some((problem) => problem.kind !== "missing_input");
  const others = problems.filter((problem) => !problem.field && problem.kind !== "unknown_type");
  const classes = [
    "nbg-node",
    status && `nbg-${status}`,
    mode && `nbg-${mode}`,
    mark && `nbg-mark-${mark}`,
    selected && "nbg-selected",
    wrong && "nbg-wrong",
    node.unknown && "nbg-placeholder",
    far && "nbg-far",
    collapsed && "nbg-collapsed",
  ];
  const negative = useStored((store) => isNegative(store.document, id));
  const mask = useStored((store) => givesMask(store, id));
  const title = negative && node.type === "prompt" ? "Negative prompt" : mask ? "Mask" : (type?.title ?? node.type);
  const colour = { "--k": categoryColour(type?.category ?? "") } as object;
  return (
    <div
      className={classes.filter(Boolean).join(" ")}
      title={far ? id : undefined}
      style={far ? { ...colour, height } : colour}
    >
      <Header node={node} title={title} type={type} />
      {node.unknown && !far && (
        <p className="nbg-unknown">The type {node.type} is not installed. The node is kept as it is, and cannot run.</p>
      )}
      {type && !collapsed && !far && <Rows {...data} type={type} problems={problems} />}
      {(collapsed || far || !type) && <Stubs {...data} type={type} />}
      {!far && <Problems problems={others} />}
      {far ? <Picture id={id} far /> : !collapsed && <Result id={id} shown={isChosen(node)} />}
    </div>
  );
});

/** Letters that a header has room for beside its state. */
const ROOM = 21;

/** Whether an id says more than the title does, and can be read beside it; the tooltip has it in any case. */
const isNamed = (node: GraphNode, title: string): boolean => {
  const plain = (text: string): string =>
    text
      .toLowerCase()
      .replace(/[_\d]+/g, " ")
      .trim();
  const said = [plain(title), plain(node.type)].some((text) => text.includes(plain(node.id)));
  return !said && title.length + node.id.length <= ROOM;
};

function Header({ node, title, type }: { node: GraphNode; title: string; type: NodeType | undefined }) {
  const { mode } = node.layout;
  const mark = useStored((store) => store.marks.nodes[node.id] ?? "");
  const hint = [`${node.id} (${node.type})`, firstSentence(type?.description)].filter(Boolean).join("\n");
  return (
    <div className="nbg-head">
      <CategoryIcon category={type?.category ?? ""} />
      <span className="nbg-title" title={hint}>
        {title}
      </span>
      {isNamed(node, title) && <span className="nbg-id">{node.id}</span>}
      {mark && <span className={`nbg-mark nbg-mark-${mark}`}>{mark}</span>}
      {mode && <span className="nbg-mode">{mode === "mute" ? "muted" : "bypassed"}</span>}
      <NodeState id={node.id} short={title.length > 14} />
    </div>
  );
}

const firstSentence = (text = ""): string => text.split(/\n\s*\n/)[0].replace(/\s+/g, " ");

function Rows({ node, used, open, type, problems }: FlowNode["data"] & { type: NodeType; problems: Problem[] }) {
  const store = useStore();
  const { id } = node;
  const varying = useStored((state) => state.schema.varying[id]);
  const rows = rowsOf(node, type, used, open);
  const shape = [rows.ports, rows.outputs, rows.fields].map((part) => part.map((one) => one.name).join()).join("|");
  const update = useUpdateNodeInternals();
  // biome-ignore lint/correctness/useExhaustiveDependencies: handles stand elsewhere when other rows are shown
  useEffect(() => update(id), [id, shape, update]);
  const problemOf = (spec: InputType): Problem | undefined =>
    problems.find((one) => one.field?.split(".")[0] === spec.name);
  const fold = foldText(rows, shortLabel);
  const count = Math.max(rows.ports.length, rows.outputs.length);
  return (
    <div className="nbg-rows">
      {Array.from({ length: count }, (_, number) => {
        const [input, output] = [rows.ports[number], rows.outputs[number]];
        const shown = output && (varying ? outputType(store.schema, node, output.name) : undefined);
        return (
          <div className="nbg-row" key={`${input?.name ?? ""} ${output?.name ?? ""}`}>
            {input && <PortIn node={id} spec={input} input={node.inputs[input.name]} problem={problemOf(input)} />}
            {output && <PortOut name={output.name} type={shown ?? output.type} />}
          </div>
        );
      })}
      {rows.fields.map((spec) => (
        <FieldRow key={spec.name} node={id} spec={spec} input={node.inputs[spec.name]} problem={problemOf(spec)} />
      ))}
      {(fold || open) && (
        <button
          type="button"
          className="nbg-fold nodrag"
          aria-expanded={open}
          aria-label={open ? `fewer inputs of ${id}` : `more inputs of ${id}: ${fold}`}
          title={open ? "show only what is used" : `more: ${fold}`}
          onClick={() => store.unfold(id, !open)}
        >
          {open ? "– less" : `+ ${fold}`}
        </button>
      )}
    </div>
  );
}

function PortOut({ name, type }: { name: string; type: string }) {
  return (
    <span className="nbg-out" title={`${name}: ${type}`}>
      {name}
      <Handle
        type="source"
        position={Position.Right}
        id={name}
        role="button"
        tabIndex={0}
        aria-label={`output ${name}, ${type}`}
        className="nbg-handle"
      >
        <TypeMark type={type} />
      </Handle>
    </span>
  );
}

const contextOf = ({ document, schema, models }: Context): Context => ({ document, schema, models });

interface InputProps {
  node: string;
  spec: InputType;
  input: Input | undefined;
  problem?: Problem;
}

const InHandle = ({ spec }: { spec: InputType }) => (
  <Handle
    type="target"
    position={Position.Left}
    id={spec.name}
    role="button"
    tabIndex={0}
    aria-label={`input ${spec.name}, ${spec.type}`}
    className="nbg-handle"
  >
    <TypeMark type={spec.type} />
  </Handle>
);

const PortIn = memo(function PortIn({ node, spec, input, problem }: InputProps) {
  const store = useStore();
  const readOnly = useStored((state) => state.readOnly !== "");
  const missing = problem?.kind === "missing_input";
  const wanted = useStored((state) => isWanted(state.document.nodes.get(node)?.type ?? "", spec.name));
  return (
    <span className="nbg-in" title={hintOf(spec)}>
      <InHandle spec={spec} />
      <span className={missing ? "nbg-name nbg-missing" : "nbg-name"}>{spec.name.replaceAll("_", " ")}</span>
      {(missing || (wanted && !isLinked(input))) && !readOnly && (
        <button
          type="button"
          className={`nbg-supply nodrag${missing ? "" : " nbg-wanted"}`}
          aria-label={`give ${node} its ${spec.name}`}
          title={[problem?.message, `add what gives ${spec.name}, with its own inputs`].filter(Boolean).join("\n")}
          onClick={() => store.edit(supply(contextOf(store), node, spec.name))}
        >
          <Icon sign="plus" />
        </button>
      )}
      <ProblemText node={node} spec={spec} problem={problem} />
    </span>
  );
});

const FieldRow = memo(function FieldRow({ node, spec, input, problem }: InputProps) {
  const missing = problem?.kind === "missing_input";
  const classes = ["nbg-field-row", isTall(spec) && "nbg-tall", missing && "nbg-empty-field"];
  return (
    <div className={classes.filter(Boolean).join(" ")} title={hintOf(spec, limits(spec))}>
      <InHandle spec={spec} />
      <span className="nbg-control nodrag">
        <Field node={node} spec={spec} input={input} />
      </span>
      <ProblemText node={node} spec={spec} problem={problem} />
    </div>
  );
});

function ProblemText({ node, spec, problem }: Pick<InputProps, "node" | "spec" | "problem">) {
  const refused = useStored((store) => store.refused[`${node}.${spec.name}`]);
  const text = refused ?? (problem?.kind === "missing_input" ? "" : problem?.message);
  if (!text) return null;
  return (
    <span className="nbg-field-problem" role="alert">
      {text}
    </span>
  );
}

/** Handles without rows, for nodes that are collapsed or far away, in the places that edges expect. */
function Stubs({ node, used, open, type }: FlowNode["data"] & { type: NodeType | undefined }) {
  const update = useUpdateNodeInternals();
  // biome-ignore lint/correctness/useExhaustiveDependencies: handles stand elsewhere when another node shape is shown
  useEffect(() => update(node.id), [node, used, open, update]);
  return (
    <div className="nbg-stubs">
      {expected(node, type, used, open).handles.map(({ id, type: side, position, y = 0, height = 0 }) => (
        <Handle
          key={`${side} ${id}`}
          type={side!}
          position={position}
          id={id!}
          className="nbg-stub"
          style={{ top: y + height / 2 }}
        />
      ))}
    </div>
  );
}

function Problems({ problems }: { problems: Problem[] }) {
  if (!problems.length) return null;
  return (
    <ul className="nbg-problems">
      {problems.map((problem) => (
        <li key={problem.message} className={problem.kind === "missing_input" ? "nbg-missing" : ""}>
          {problem.message}
        </li>
      ))}
    </ul>
  );
}

/** Whether a node is an image that was chosen, which its field shows already. */
const isChosen = ({ type, inputs: { image } }: GraphNode): boolean =>
  type === "image" && image !== undefined && "value" in image && Boolean(image.value);

function Result({ id, shown }: { id: string; shown: boolean }) {
  const run = useStored((one) => one.runs[id]);
  return (
    <>
      {!shown && <Picture id={id} />}
      {run?.error && (
        <p className="nbg-error" role="alert">
          {run.error}
        </p>
      )}
      {run?.warning && <p className="nbg-warning">{run.warning}</p>}
    </>
  );
}
