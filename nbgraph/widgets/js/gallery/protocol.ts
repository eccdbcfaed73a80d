// What gallery.py answers.
export interface Picture {
  name: string;
  label: string;
  width: number;
  height: number;
  mode: string;
  category: string;
  starred: boolean;
  intermediate: boolean;
  node: string;
  session: string;
  created: number;
  bytes: number;
}

export interface Page {
  page: number;
  pages: number;
  total: number;
  pictures: Picture[];
}

export interface Opened {
  picture: Picture;
  metadata: string;
  values: [string, string][];
  /** Why there is no graph; empty if there is one, and then its drawing is the second buffer. */
  graph: string;
  python: string;
}

export interface Compared {
  pictures: [Picture, Picture];
  differences: [string, string, string][];
}

export interface Doomed {
  entries: { node: string; type: string; seconds: number }[];
  total: number;
}
