// The empty canvas: library graphs to begin with, or the palette.
import { useStored } from "./context.ts";
import { Icon } from "./icons.tsx";
import type { Template } from "./protocol.ts";
import { Thumbnail } from "./Thumbnail.tsx";
import { isRunnable } from "./templates.ts";

const CARDS = 5;

interface Props {
  open: (template: Template, run: boolean) => void;
  search: () => void;
}

export function Start({ open, search }: Props) {
  const empty = useStored((store) => store.document.nodes.size === 0 && store.document.notes.size === 0);
  const templates = useStored((store) => store.templates);
  const readOnly = useStored((store) => store.readOnly !== "");
  const schema = useStored((store) => store.schema);
  const canRun = useStored((store) => store.canRun);
  if (!empty || readOnly) return null;
  return (
    <section className="nbg-empty" aria-label="begin">
      <h2>Begin with</h2>
      <div className="nbg-cards">
        {templates.slice(0, CARDS).map((template) => (
          <div key={template.name} className="nbg-card">
            <button type="button" className="nbg-card-open" onClick={() => open(template, false)}>
              <Thumbnail template={template} />
              <strong>{template.name}</strong>
              <span>{template.description}</span>
            </button>
            {canRun && isRunnable(template, schema) && (
              <button
                type="button"
                className="nbg-card-run"
                aria-label={`Open ${template.name} and run it`}
                title="open and run"
                onClick={() => open(template, true)}
              >
                <Icon sign="run" /> Run
              </button>
            )}
          </div>
        ))}
        <div className="nbg-card">
          <button type="button" className="nbg-card-open" onClick={search}>
            <span className="nbg-thumbnail nbg-card-plus">
              <Icon sign="plus" />
            </span>
            <strong>a node</strong>
            <span>
              Search all of them. <kbd>Space</kbd> or a double-click does the same.
            </span>
          </button>
        </div>
      </div>
    </section>
  );
}
