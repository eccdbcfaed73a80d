// What the kernel says of the stats.

export interface RunStats {
  session: string;
  label: string;
  /** Seconds since 1970. */
  started: number;
  seconds: number;
  nodes: number;
  cached: number;
  failed: number;
}

export interface Stats {
  runs: RunStats[];
  total: number;
  chosen: string[];
  /** Name, heading, and whether it is shown. */
  columns: [string, string, boolean][];
  /** Name and label. */
  plots: [string, string][];
  plot: string;
  figures: [string, string][];
  figure: string;
  head: string[];
  rows: string[][];
  /** Which columns are numbers. */
  numbers: boolean[];
  more: number;
  /** The plot as SVG, or why there is none. */
  drawing?: string;
  problem?: string;
}
