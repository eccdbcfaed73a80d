// A text: of one line with its label inside, or of several lines.
import { useStored } from "./context.ts";
import type { ControlProps } from "./Field.tsx";
import { labelOf } from "./labels.ts";
import { isNegative } from "./rows.ts";
import { useDraft } from "./useDraft.ts";

const PROMPTS = new Set(["prompt", "compel", "sdxl_prompt"]);

export function TextInput({ label, spec, value, disabled, set }: ControlProps) {
  const id = label.slice(0, label.lastIndexOf(" "));
  const negative = useStored((state) => isNegative(state.document, id));
  const prompt = useStored((state) => PROMPTS.has(state.document.nodes.get(id)?.type ?? ""));
  const [text, type, flush] = useDraft(value == null ? "" : String(value), set);
  if (spec.control === "text") {
    return (
      <textarea
        className="nowheel"
        rows={2}
        aria-label={label}
        placeholder={prompt ? (negative ? "what it should not show" : "what the picture shows") : labelOf(spec)}
        value={text}
        disabled={disabled}
        onChange={(event) => type(event.target.value)}
        onBlur={flush}
      />
    );
  }
  return (
    <input
      type="text"
      aria-label={label}
      value={text}
      disabled={disabled}
      placeholder={spec.optional ? "none" : ""}
      onChange={(event) => type(event.target.value)}
      onBlur={flush}
    />
  );
}
