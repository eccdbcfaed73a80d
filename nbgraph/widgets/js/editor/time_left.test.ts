import { describe, expect, it } from "vitest";

import type { NodeRun } from "./protocol.ts";
import { sinceWhen, timeLeft } from "./time_left.ts";

const at = (step: number, status: NodeRun["status"] = "running"): NodeRun => ({
  status,
  step,
  steps: 30,
  runs: 0,
  cached: 0,
  seconds: 0,
  error: "",
  warning: "",
});

describe("the time that is left", () => {
  it("follows from the pace since the first step that was seen", () => {
    const since = sinceWhen(sinceWhen({}, { denoise: at(2) }, 1000), { denoise: at(12) }, 3000);
    expect(since).toEqual({ denoise: { step: 2, at: 1000 } });
    expect(timeLeft(at(12), since.denoise, 3000)).toBe("4 s left");
    expect(timeLeft(at(4), since.denoise, 60_000)).toBe("13 min left");
  });

  it("is not told by one step, nor under a second", () => {
    const since = { step: 2, at: 1000 };
    expect(timeLeft(at(2), since, 5000)).toBe("");
    expect(timeLeft(at(29), since, 2000)).toBe("");
    expect(timeLeft(at(5), undefined, 2000)).toBe("");
  });

  it("begins anew when a node runs again, and ends with it", () => {
    const before = { denoise: { step: 9, at: 0 } };
    expect(sinceWhen(before, { denoise: at(1) }, 500)).toEqual({ denoise: { step: 1, at: 500 } });
    expect(sinceWhen(before, { denoise: at(30, "done") }, 500)).toEqual({});
  });
});
