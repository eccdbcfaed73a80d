// A graph in small: its nodes in their colours and its wires, drawn from the places a layout gives them.
import { memo, useMemo } from "react";

import { useStored } from "./context.ts";
import { apply, linksOf } from "./document.ts";
import { expected } from "./expected.ts";
import { categoryColour } from "./icons.tsx";
import { layout } from "./layout.ts";
import type { Template } from "./protocol.ts";
import { usedOutputs } from "./rows.ts";
import { outputType, typeOf } from "./schema.ts";
import { typeColour } from "./TypeMark.tsx";
import { documentOf } from "./templates.ts";

const PADDING = 30;

export const Thumbnail = memo(function Thumbnail({ template }: { template: Template }) {
  const schema = useStored((state) => state.schema);
  const drawn = useMemo(() => {
    const bare = documentOf(template);
    const boxOf = (id: string) => {
      const node = bare.nodes.get(id)!;
      return expected(node, typeOf(schema, node), usedOutputs(bare, id));
    };
    const document = apply(
      bare,
      layout(bare, [], (id) => boxOf(id).measured),
    );
    const nodes = [...document.nodes.values()].map((node) => {
      const { measured, handles } = boxOf(node.id);
      const { x = 0, y = 0 } = node.layout;
      return { node, x, y, ...measured, handles, colour: categoryColour(typeOf(schema, node)?.category ?? "") };
    });
    const at = (id: string, name: string, side: string): [number, number] => {
      const found = nodes.find((one) => one.node.id === id)!;
      const handle = found.handles.find((one) => one.id === name && one.type === side);
      return [found.x + (side === "source" ? found.width : 0), found.y + (handle?.y ?? 20) + 7];
    };
    const wires = nodes.flatMap(({ node }) =>
      Object.entries(node.inputs).flatMap(([field, input]) =>
        linksOf(input).map(([source, output]) => {
          const [x, y] = at(source, output, "source");
          const [toX, toY] = at(node.id, field, "target");
          const colour = typeColour(outputType(schema, document.nodes.get(source)!, output));
          return { key: `${source} ${output} ${node.id} ${field}`, path: curve(x, y, toX, toY), colour };
        }),
      ),
    );
    const right = Math.max(...nodes.map((one) => one.x + one.width));
    const bottom = Math.max(...nodes.map((one) => one.y + one.height));
    const left = Math.min(...nodes.map((one) => one.x));
    const top = Math.min(...nodes.map((one) => one.y));
    const box = [left - PADDING, top - PADDING, right - left + 2 * PADDING, bottom - top + 2 * PADDING];
    return { nodes, wires, box: box.join(" ") };
  }, [template, schema]);
  return (
    <svg className="nbg-thumbnail" viewBox={drawn.box} preserveAspectRatio="xMidYMid meet" aria-hidden="true">
      {drawn.wires.map(({ key, path, colour }) => (
        <path key={key} d={path} stroke={colour} strokeWidth={7} fill="none" />
      ))}
      {drawn.nodes.map(({ node, x, y, width, height, colour }) => (
        <g key={node.id}>
          <rect className="nbg-mini" x={x} y={y} width={width} height={height} rx={22} />
          <path
            d={`M${x} ${y + 44}v-22a22 22 0 0 1 22 -22h${width - 44}a22 22 0 0 1 22 22v22z`}
            fill={colour}
            opacity={0.8}
          />
        </g>
      ))}
    </svg>
  );
});

const curve = (x: number, y: number, toX: number, toY: number): string =>
  `M${x} ${y}C${x + 70} ${y} ${toX - 70} ${toY} ${toX} ${toY}`;
