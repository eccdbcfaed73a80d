// Numbers as people read them.

export function bytes(count: number): string {
  if (count < 1024) return `${count} B`;
  const steps = ["KB", "MB", "GB", "TB"];
  let size = count / 1024;
  let step = 0;
  while (size >= 1000 && step < steps.length - 1) {
    size /= 1024;
    step += 1;
  }
  return `${size.toFixed(size < 10 ? 1 : 0)} ${steps[step]}`;
}

export function seconds(value: number): string {
  if (value < 0.001) return "< 1 ms";
  if (value < 1) return `${Math.round(value * 1000)} ms`;
  return value < 60 ? `${value.toFixed(1)} s` : `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
}

/** How long ago a time in seconds since 1970 was. */
export function age(time: number, now = Date.now() / 1000): string {
  const past = Math.max(0, now - time);
  if (past < 60) return `${Math.round(past)} s ago`;
  if (past < 3600) return `${Math.round(past / 60)} min ago`;
  return past < 172_800 ? `${Math.round(past / 3600)} h ago` : `${Math.round(past / 86_400)} days ago`;
}

export function count(number: number, word: string, many = `${word}s`): string {
  return `${number.toLocaleString("en")} ${number === 1 ? word : many}`;
}
