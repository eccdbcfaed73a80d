// What cache_table.py answers.
export interface Entry {
  key: string;
  node: string;
  type: string;
  created: number;
  hits: number;
  bytes: number;
  seconds: number;
  resources: string[];
  picture: string;
  output: string;
}

export interface Status {
  size: number;
  bytes: number;
  hits: number;
  misses: number;
  on: boolean;
  maxEntries: number;
  maxBytes: number;
}

export interface Page {
  page: number;
  pages: number;
  total: number;
  types: string[];
  entries: Entry[];
  pictures: string[];
  status: Status;
}

export interface Why {
  graphs: [string, string][];
  graph: string;
  /** Node, type, whether it will run, because of what. */
  reasons: [string, string, boolean, string][];
  total: number;
  problem: string;
}

export type Column = "node" | "type" | "created" | "hits" | "bytes" | "seconds" | "resources";
