// @vitest-environment jsdom
import { expect, it } from "vitest";
import bundle from "./index.ts";

it("draws the widget that the model names, for hosts that take the code with each widget", () => {
  const el = document.createElement("div");
  const model = {
    get: (name: string) => (name === "_widget" ? "queue_table" : undefined),
    on: () => {},
    off: () => {},
    send: () => {},
  };
  const end = bundle.render({ model, el });
  expect(el.textContent).toContain("Queue");
  end();
});
