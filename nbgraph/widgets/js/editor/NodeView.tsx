// A node on the canvas: what it is, its inputs and outputs, its problems, and what its run came to.
import { Handle, type Node, type NodeProps, Position, useStore as useFlow } from "@xyflow/react";
import { memo } from "react";

import { useStore, useStored } from "./context.ts";
import type { GraphNode, Input } from "./document.ts";
import { expected } from "./expected.ts";
import { Field } from "./Field.tsx";
import type { Problem } from "./protocol.ts";
import { RunState } from "./RunState.tsx";
import { type InputType, outputType, typeOf } from "./schema.ts";
import { colourOf, TypeMark } from "./TypeMark.tsx";

export type FlowNode = Node<{ node: GraphNode }, "node">;
const FAR = 0.4;

export const NodeView = memo(function NodeView({ id, data, selected, height }: NodeProps<FlowNode>) {
  const { node } = data;
  const type = useStored((store) => typeOf(store.schema, node));
  const problems = useStored((store) => store.problemsOf(id));
  const far = useFlow((flow) => flow.transform[2] < FAR);
  const status = useStored((store) => store.runs[id]?.status ?? "");
  const { collapsed, mode } = node.layout;
  const wrong = problems.some((problem) => problem.kind !== "missing_input");
  const others = problems.filter((problem) => !problem.field && problem.kind !== "unknown_type");
  const classes = [
    "nbg-node",
    `nbg-${status}`,
    mode && `nbg-${mode}`,
    selected && "nbg-selected",
    wrong && "nbg-wrong",
    node.unknown && "nbg-placeholder",
    far && "nbg-far",
  ];
  const title = type?.title ?? node.type;
  return (
    <div
      className={classes.filter(Boolean).join(" ")}
      title={far ? id : undefined}
      style={far ? { height } : undefined}
    >
      <Header node={node} title={title} category={type?.category ?? ""} />
      {node.unknown && !far && (
        <p className="nbg-unknown">The type {node.type} is not installed. The node is kept as it is, and cannot run.</p>
      )}
      {type && !collapsed && !far && <Rows node={node} inputs={type.inputs} problems={problems} />}
      {(collapsed || far || !type) && <Stubs node={node} />}
      {!far && <Problems problems={others} />}
      {far && <Picture id={id} />}
      {!far && !collapsed && <Result id={id} />}
    </div>
  );
});

function Header({ node, title, category }: { node: GraphNode; title: string; category: string }) {
  const { mode } = node.layout;
  return (
    <header className="nbg-head" style={{ borderLeftColor: colourOf(category) }}>
      <span className="nbg-title" title={title}>
        {title}
      </span>
      <span className="nbg-id">{node.id === title ? "" : node.id}</span>
      {mode && <span className="nbg-mode">{mode === "mute" ? "muted" : "bypassed"}</span>}
      <RunState id={node.id} />
    </header>
  );
}

function Rows({ node, inputs, problems }: { node: GraphNode; inputs: InputType[]; problems: Problem[] }) {
  const schema = useStored((store) => store.schema);
  return (
    <div className="nbg-rows">
      {typeOf(schema, node)?.outputs.map((output) => {
        const shown = outputType(schema, node, output.name) ?? output.type;
        return (
          <div className="nbg-row nbg-out" key={`out ${output.name}`}>
            <span title={shown}>{output.name}</span>
            <Handle
              type="source"
              position={Position.Right}
              id={output.name}
              role="img"
              aria-label={`output ${output.name}, ${shown}`}
              className="nbg-handle"
            >
              <TypeMark type={shown} />
            </Handle>
          </div>
        );
      })}
      {inputs.map((spec) => (
        <InputRow
          key={spec.name}
          node={node.id}
          spec={spec}
          input={node.inputs[spec.name]}
          problem={problems.find((one) => one.field?.split(".")[0] === spec.name)}
        />
      ))}
    </div>
  );
}

interface InputRowProps {
  node: string;
  spec: InputType;
  input: Input | undefined;
  problem?: Problem;
}

const InputRow = memo(function InputRow({ node, spec, input, problem }: InputRowProps) {
  const refused = useStored((store) => store.refused[`${node}.${spec.name}`]);
  const missing = problem?.kind === "missing_input";
  const text = refused ?? problem?.message;
  const wide = spec.control === "text" && !(input && "links" in input);
  return (
    <div
      className={`nbg-row nbg-in${wide ? " nbg-wide" : ""}${text && !missing ? " nbg-row-wrong" : ""}`}
      title={spec.description}
    >
      <Handle
        type="target"
        position={Position.Left}
        id={spec.name}
        role="img"
        aria-label={`input ${spec.name}, ${spec.type}`}
        className="nbg-handle"
      >
        <TypeMark type={spec.type} />
      </Handle>
      <span className="nbg-name" title={spec.type}>
        {spec.name}
        {spec.required && (
          <span
            className={missing ? "nbg-missing" : "nbg-required"}
            title={missing ? problem.message : "must be given"}
          >
            {" "}
            *
          </span>
        )}
      </span>
      <span className="nbg-control nodrag">
        <Field node={node} spec={spec} input={input} />
      </span>
      {text && !missing && (
        <span className="nbg-field-problem" role="alert">
          {text}
        </span>
      )}
    </div>
  );
});

/** Handles without rows, for nodes that are collapsed or far away, in the places that edges expect. */
function Stubs({ node }: { node: GraphNode }) {
  const type = useStored((store) => typeOf(store.schema, node));
  return (
    <div className="nbg-stubs">
      {expected(node, type).handles.map(({ id, type: side, position, y = 0, height = 0 }) => (
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

function Picture({ id }: { id: string }) {
  const url = useStored((one) => one.pictures[id]);
  const running = useStored((one) => one.runs[id]?.status === "running");
  if (!url) return null;
  return (
    <img className="nbg-result" src={url} alt={running ? `preview of ${id}` : `result of ${id}`} draggable={false} />
  );
}

function Result({ id }: { id: string }) {
  const store = useStore();
  const run = useStored((one) => one.runs[id]);
  const reason = useStored((one) => one.reasons[id]);
  const busy = run?.status === "running" || run?.status === "waiting";
  return (
    <>
      <Picture id={id} />
      {run?.error && (
        <p className="nbg-error" role="alert">
          {run.error}
        </p>
      )}
      {run?.warning && <p className="nbg-warning">{run.warning}</p>}
      {!busy && reason && store.canRun && (
        <p className="nbg-reason" title={reason.because}>
          {reason.run ? `will run: ${reason.because}` : "cached"}
        </p>
      )}
    </>
  );
}
