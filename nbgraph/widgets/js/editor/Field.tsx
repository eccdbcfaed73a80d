// An input of a node, edited in place: a label, a value, and a control that follows from the schema.
import { memo, type ReactNode } from "react";

import { ColourInput } from "./ColourInput.tsx";
import { useStore, useStored } from "./context.ts";
import type { Input } from "./document.ts";
import { ImageInput } from "./ImageInput.tsx";
import { Icon } from "./icons.tsx";
import { ListInput } from "./ListInput.tsx";
import { labelOf } from "./labels.ts";
import { ModelInput } from "./ModelInput.tsx";
import { NumberInput } from "./NumberInput.tsx";
import type { InputType } from "./schema.ts";
import { TextInput } from "./TextInput.tsx";

interface Props {
  node: string;
  spec: InputType;
  input: Input | undefined;
}

export interface ControlProps {
  /** The node's id. */
  node: string;
  /** The name for page readers: the node's id and the input's. */
  label: string;
  spec: InputType;
  value: any;
  disabled: boolean;
  set: (value: any) => void;
}

export const Field = memo(function Field({ node, spec, input }: Props) {
  const store = useStore();
  const disabled = useStored((one) => one.readOnly !== "");
  const value = input && "value" in input ? input.value : spec.default;
  const set = (next: any): void => store.edit([["input", node, spec.name, { value: next }]], `${node}.${spec.name}`);
  const label = `${node} ${spec.name}`;
  return <Control node={node} label={label} spec={spec} value={value} disabled={disabled} set={set} />;
});

function Control(props: ControlProps) {
  const { label, spec, value, disabled, set } = props;
  switch (spec.control) {
    case "int":
    case "float":
    case "seed":
      return <NumberInput {...props} />;
    case "text":
      return <TextInput {...props} />;
    case "bool":
      return (
        <Labelled {...props}>
          <input
            type="checkbox"
            aria-label={label}
            checked={value === true}
            disabled={disabled}
            onChange={(event) => set(event.target.checked)}
          />
        </Labelled>
      );
    case "choice":
      return <Choice {...props} choices={spec.choices ?? []} />;
    case "model":
      return <ModelInput {...props} />;
    case "image":
      return (
        <Labelled {...props}>
          <ImageInput {...props} />
        </Labelled>
      );
    case "colour":
      return (
        <Labelled {...props}>
          <ColourInput {...props} />
        </Labelled>
      );
    case "list":
      return (
        <Labelled {...props}>
          <ListInput {...props} />
        </Labelled>
      );
    default:
      return (
        <Labelled {...props}>
          <TextInput {...props} />
        </Labelled>
      );
  }
}

/** A control with its label inside, at the left. */
export function Labelled({ spec, children }: Pick<ControlProps, "spec"> & { children: ReactNode }) {
  return (
    <span className="nbg-field">
      <span className="nbg-label">{labelOf(spec)}</span>
      {children}
    </span>
  );
}

function Choice({ label, spec, value, disabled, set, choices }: ControlProps & { choices: any[] }) {
  const known = choices.includes(value);
  const place = known ? choices.indexOf(value) : -1;
  return (
    <Labelled spec={spec}>
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
      <Icon sign="down" />
    </Labelled>
  );
}
