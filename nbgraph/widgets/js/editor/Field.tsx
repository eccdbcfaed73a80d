// An input of a node, edited in place: what it looks like follows from the schema.
import { memo } from "react";
import { ColourInput } from "./ColourInput.tsx";
import { useStore, useStored } from "./context.ts";
import type { Input } from "./document.ts";
import { ImageInput } from "./ImageInput.tsx";
import { ListInput } from "./ListInput.tsx";
import { NumberInput } from "./NumberInput.tsx";
import type { InputType } from "./schema.ts";

interface Props {
  node: string;
  spec: InputType;
  input: Input | undefined;
}

export interface ControlProps {
  label: string;
  spec: InputType;
  value: any;
  disabled: boolean;
  set: (value: any) => void;
}

export const Field = memo(function Field({ node, spec, input }: Props) {
  const store = useStore();
  const disabled = useStored((one) => one.readOnly !== "");
  if (spec.control === "none" || (input && "links" in input)) return null;
  const value = input && "value" in input ? input.value : spec.default;
  const set = (next: any): void => store.edit([["input", node, spec.name, { value: next }]], `${node}.${spec.name}`);
  return <Control label={`${node} ${spec.name}`} spec={spec} value={value} disabled={disabled} set={set} />;
});

function Control(props: ControlProps) {
  const { label, spec, value, disabled, set } = props;
  switch (spec.control) {
    case "int":
    case "float":
    case "seed":
      return <NumberInput {...props} />;
    case "bool":
      return (
        <input
          type="checkbox"
          aria-label={label}
          checked={value === true}
          disabled={disabled}
          onChange={(event) => set(event.target.checked)}
        />
      );
    case "choice":
      return <Choice {...props} choices={spec.choices ?? []} />;
    case "model":
      return <ModelChoice {...props} />;
    case "image":
      return <ImageInput {...props} />;
    case "colour":
      return <ColourInput {...props} />;
    case "list":
      return <ListInput {...props} />;
    case "text":
      return (
        <textarea
          rows={3}
          aria-label={label}
          value={value ?? ""}
          disabled={disabled}
          onChange={(event) => set(event.target.value)}
        />
      );
    default:
      return (
        <input
          type="text"
          aria-label={label}
          value={value ?? ""}
          disabled={disabled}
          onChange={(event) => set(event.target.value)}
        />
      );
  }
}

function ModelChoice(props: ControlProps) {
  const models = useStored((store) => store.models);
  return <Choice {...props} choices={models} />;
}

function Choice({ label, spec, value, disabled, set, choices }: ControlProps & { choices: any[] }) {
  const known = choices.includes(value);
  const place = known ? choices.indexOf(value) : -1;
  return (
    <select
      aria-label={label}
      value={place}
      disabled={disabled}
      onChange={(event) => set(Number(event.target.value) < 0 ? null : choices[Number(event.target.value)])}
    >
      {(!known || spec.optional) && (
        <option value={-1} disabled={!spec.optional}>
          {known || value == null ? "choose" : String(value)}
        </option>
      )}
      {choices.map((choice, number) => (
        <option key={String(choice)} value={number}>
          {String(choice)}
        </option>
      ))}
    </select>
  );
}
