// A frame around nodes, or a comment.
import { type Node, type NodeProps, NodeResizer } from "@xyflow/react";
import { memo } from "react";

import { useStore } from "./context.ts";
import type { Note } from "./document.ts";

export type FlowNote = Node<{ note: Note }, "note">;

export const NoteView = memo(function NoteView({ id, data, selected }: NodeProps<FlowNote>) {
  const store = useStore();
  const { note } = data;
  const change = (part: Partial<Note>): void => store.edit([["note", id, "", { ...note, ...part }]], `note ${id}`);
  const frame = note.kind === "frame";
  return (
    <div className={`nbg-note nbg-note-${note.kind}`} style={note.colour ? { borderColor: note.colour } : undefined}>
      <NodeResizer
        isVisible={selected && !store.readOnly}
        minWidth={80}
        minHeight={48}
        onResizeEnd={(_, { x, y, width, height }) =>
          change({ x: Math.round(x), y: Math.round(y), width: Math.round(width), height: Math.round(height) })
        }
      />
      {frame ? (
        <input
          className="nodrag nbg-frame-title"
          aria-label={`title of frame ${id}`}
          value={note.text}
          placeholder="frame"
          readOnly={store.readOnly !== ""}
          onChange={(event) => change({ text: event.target.value })}
        />
      ) : (
        <textarea
          className="nodrag nowheel"
          aria-label={`comment ${id}`}
          value={note.text}
          placeholder="a comment"
          readOnly={store.readOnly !== ""}
          onChange={(event) => change({ text: event.target.value })}
        />
      )}
    </div>
  );
});
