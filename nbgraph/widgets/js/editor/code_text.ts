// The code beside the canvas as text: what was typed, what the kernel has, and which of both is shown.
import type { Code } from "./protocol.ts";
import type { EditorStore } from "./store.ts";

export interface CodeState {
  /** The kernel has said what the code is; before, nothing can be typed. */
  known: boolean;
  text: string;
  error: string;
  line: number;
  /** The graph was changed elsewhere while what is typed here was not drawn. */
  stale: boolean;
}

/** Milliseconds without a key after which what was typed is drawn. */
const PAUSE = 400;
/** Milliseconds after a change of the graph in which more changes may follow. */
const FOLLOW = 200;

export class CodeText {
  state: CodeState = { known: false, text: "", error: "", line: 0, stale: false };
  private listeners = new Set<() => void>();
  private mark = "";
  /** What is typed is not what the graph is: it waits, or was refused. */
  private dirty = false;
  private newest: Code | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private followTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly store: EditorStore) {}

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** Follow the graph until the function that is returned is called. */
  follow(): () => void {
    void this.look();
    let before = this.store.document;
    const end = this.store.state.subscribe(({ document }) => {
      if (document === before) return;
      before = document;
      clearTimeout(this.followTimer);
      this.followTimer = setTimeout(() => void this.look(), FOLLOW);
    });
    this.store.drafts.add(this.flush);
    return () => {
      end();
      clearTimeout(this.followTimer);
      this.flush();
      this.store.drafts.delete(this.flush);
    };
  }

  type(text: string): void {
    this.dirty = true;
    this.set({ text });
    clearTimeout(this.timer);
    this.timer = setTimeout(this.flush, PAUSE);
  }

  /** Draw what is typed, whatever the graph is by now. */
  drawAnyway(): void {
    this.mark = this.newest?.mark ?? this.mark;
    void this.send();
  }

  /** Give up what is typed, and show the code of the graph. */
  showNewest(): void {
    if (this.newest) this.take(this.newest);
  }

  private flush = (): void => {
    if (this.timer === undefined) return;
    clearTimeout(this.timer);
    this.timer = undefined;
    void this.send();
  };

  private async send(): Promise<void> {
    const { text } = this.state;
    const told = await this.store.askAfterEdits({ type: "code", text, base: this.mark });
    if (told.type !== "code") return;
    this.newest = told;
    // More was typed meanwhile: the answer to that is on its way.
    const isCurrent = text === this.state.text;
    if (told.stale) this.set({ stale: true });
    else if (told.error !== undefined) {
      if (isCurrent) this.set({ error: told.error, line: told.line ?? 0, stale: false });
    } else {
      this.mark = told.mark;
      this.dirty = !isCurrent;
      if (isCurrent) this.set({ error: "", line: 0, stale: false });
    }
  }

  private async look(): Promise<void> {
    const told = await this.store.askAfterEdits({ type: "code" });
    if (told.type !== "code") return;
    this.newest = told;
    // The same code: what is typed may say it in other words, with comments.
    if (told.mark === this.mark) return this.set({ stale: false });
    if (this.dirty) this.set({ stale: true });
    else this.take(told);
  }

  private take(code: Code): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.mark = code.mark;
    this.dirty = false;
    this.set({ known: true, text: code.text, error: "", line: 0, stale: false });
  }

  private set(part: Partial<CodeState>): void {
    this.state = { ...this.state, ...part };
    for (const listener of [...this.listeners]) listener();
  }
}
