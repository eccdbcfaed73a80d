import { expect, it } from "vitest";

import { Mask } from "./mask.ts";
import { encode } from "./png.ts";

it("a mask is sent as a PNG file of one channel", async () => {
  const mask = new Mask(
    5,
    3,
    Uint8Array.from({ length: 15 }, (_, at) => at * 17),
  );
  const file = await encode(mask);
  const view = new DataView(file);
  const text = (at: number, length: number): string => String.fromCharCode(...new Uint8Array(file, at, length));
  expect(text(1, 3)).toBe("PNG");
  expect([view.getUint32(16), view.getUint32(20), view.getUint8(24), view.getUint8(25)]).toEqual([5, 3, 8, 0]);
  expect(text(37, 4)).toBe("IDAT");
  const packed = new Blob([new Uint8Array(file, 41, view.getUint32(33))]).stream();
  const plain = packed.pipeThrough(new DecompressionStream("deflate"));
  const rows = new Uint8Array(await new Response(plain).arrayBuffer());
  const pixels = [0, 1, 2].flatMap((row) => [...rows.subarray(row * 6 + 1, row * 6 + 6)]);
  expect(pixels).toEqual([...mask.data]);
});

it("a large mask with little on it is a small file", async () => {
  const mask = new Mask(2048, 2048);
  mask.paint({
    from: { x: 900, y: 900, radius: 300 },
    to: { x: 1200, y: 800, radius: 300 },
    feather: 0.2,
    erase: false,
  });
  expect((await encode(mask)).byteLength).toBeLessThan(60_000);
});
