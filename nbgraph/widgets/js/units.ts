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

/** `< 1 ms`, `12 ms`, `1.3 s`, `2 min 5 s` */
export function seconds(value: number): string {
  if (value < 0.001) return "< 1 ms";
  if (value < 0.9995) return `${Math.round(value * 1000)} ms`;
  if (value < 59.95) return `${value.toFixed(1)} s`;
  const whole = Math.round(value);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
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
