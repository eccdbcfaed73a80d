// A colour: a ColorField, `{r, g, b, a}`, whose opacity has a slider, or a text such as "#ff8800".
import type { ControlProps } from "./Field.tsx";

interface Colour {
  r: number;
  g: number;
  b: number;
  a: number;
}

export function ColourInput({ label, spec, value, disabled, set }: ControlProps) {
  const isText = spec.type.startsWith("str");
  const colour = isText ? { ...fromHex(String(value || "#000000")), a: 255 } : { r: 0, g: 0, b: 0, a: 255, ...value };
  const choose = (hex: string): void => set(isText ? hex : { ...fromHex(hex), a: colour.a || 255 });
  return (
    <span className="nbg-colour">
      <input
        type="color"
        aria-label={label}
        title={toHex(colour)}
        value={toHex(colour)}
        disabled={disabled}
        onChange={(event) => choose(event.target.value)}
      />
      {!isText && (
        <input
          type="range"
          min={0}
          max={255}
          aria-label={`${label}: opacity`}
          title={`opacity ${colour.a} of 255`}
          value={colour.a}
          disabled={disabled}
          onChange={(event) => set({ ...colour, a: Number(event.target.value) })}
        />
      )}
    </span>
  );
}

export const toHex = ({ r, g, b }: Colour): string =>
  `#${[r, g, b].map((part) => part.toString(16).padStart(2, "0")).join("")}`;

export function fromHex(hex: string): Omit<Colour, "a"> {
  const [r, g, b] = [1, 3, 5].map((start) => Number.parseInt(hex.slice(start, start + 2), 16) || 0);
  return { r, g, b };
}
