// The way of a wire: a curve where it is free, else above or below the nodes that lie between its ends.

export interface Rect {
  x: number;
  y: number;
  width: number;
  height: number;
}

interface Ends {
  sourceX: number;
  sourceY: number;
  targetX: number;
  targetY: number;
}

const CLEAR = 18;
/** Wires that take the same way run side by side. */
const LANE = 7;
const ROW = 24;
const BEND = 34;
const SAMPLES = 14;

/** How far the handles of a curve reach. */
const reach = (dx: number): number => (dx >= 0 ? Math.max(26, Math.min(dx / 2, 120)) : Math.min(60 - dx / 3, 180));

/** An SVG path between two ports, with the boxes that lie between them left free where that is possible. */
export function wirePath(ends: Ends, boxes: Rect[]): string {
  const { sourceX, sourceY, targetX, targetY } = ends;
  const dx = targetX - sourceX;
  if (dx > 2 * BEND + 20) {
    const between = boxes.filter((box) => box.x > sourceX - 4 && box.x + box.width < targetX + 4);
    const hit = between.filter((box) => meets(ends, box));
    if (hit.length) return detour(ends, between);
  }
  const far = reach(dx);
  return `M${sourceX} ${sourceY}C${sourceX + far} ${sourceY} ${targetX - far} ${targetY} ${targetX} ${targetY}`;
}

/** Whether the plain curve goes through a box. */
function meets({ sourceX, sourceY, targetX, targetY }: Ends, box: Rect): boolean {
  const far = reach(targetX - sourceX);
  for (let step = 1; step < SAMPLES; step++) {
    const t = step / SAMPLES;
    const [a, b, c, d] = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t ** 2 * (1 - t), t ** 3];
    const x = a * sourceX + b * (sourceX + far) + c * (targetX - far) + d * targetX;
    const y = (a + b) * sourceY + (c + d) * targetY;
    if (x > box.x && x < box.x + box.width && y > box.y - 4 && y < box.y + box.height + 4) return true;
  }
  return false;
}

/** The nearest height between the ends at which nothing lies in the way, and a path that runs along it. */
function detour({ sourceX, sourceY, targetX, targetY }: Ends, boxes: Rect[]): string {
  const direct = (sourceY + targetY) / 2;
  const clear = CLEAR + LANE * (Math.abs(Math.round((targetY - sourceY) / ROW)) % 3);
  const heights = [direct, sourceY, targetY, ...boxes.flatMap((box) => [box.y - clear, box.y + box.height + clear])];
  const free = heights.filter((y) => boxes.every((box) => y < box.y - 6 || y > box.y + box.height + 6));
  const cost = (y: number): number => Math.abs(y - sourceY) + Math.abs(y - targetY);
  const y = free.reduce((best, one) => (cost(one) < cost(best) ? one : best), free[0] ?? direct);
  const left = Math.min(...boxes.map((box) => box.x));
  const right = Math.max(...boxes.map((box) => box.x + box.width));
  const enter = Math.max(sourceX + BEND, Math.min(left, targetX - 2 * BEND));
  const leave = Math.max(enter, Math.min(right, targetX - BEND));
  const [first, second] = [(sourceX + enter) / 2, (leave + targetX) / 2];
  return (
    `M${sourceX} ${sourceY}C${first} ${sourceY} ${first} ${y} ${enter} ${y}L${leave} ${y}` +
    `C${second} ${y} ${second} ${targetY} ${targetX} ${targetY}`
  );
}
