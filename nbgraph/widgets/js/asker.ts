// Asks the kernel, and hears what it answers and what is new.
import { sayAgain } from "./again.ts";
import type { Model } from "./model.ts";

export type Content = Record<string, any>;
export type Reply = [Content, DataView[]];
/** Questions that change nothing, so that the first one may come more than once: what views ask when they are shown. */
const READING = new Set(["list", "offers", "ready", "show"]);
interface Waiting {
  resolve: (reply: Reply) => void;
  reject: (error: Error) => void;
}

/** Each view of a model has an asker of its own: answers to other views carry other numbers, and are passed over. */
export class Asker {
  private next = Math.floor(Math.random() * 2 ** 40);
  private waiting = new Map<number, Waiting>();
  /** Ends the repetition of the first question; null before it. */
  private heardOnce: (() => void) | null = null;

  constructor(
    private readonly model: Model,
    private readonly news: (content: Content) => void,
  ) {
    model.on("msg:custom", this.hear);
  }

  /** Send a question; what it was answered, or an error with the text of the refusal. */
  ask(question: Content, buffers?: ArrayBuffer[]): Promise<Reply> {
    const request = this.next++;
    return new Promise((resolve, reject) => {
      this.waiting.set(request, { resolve, reject });
      const say = (): void => {
        if (buffers?.length) this.model.send({ ...question, request }, undefined, buffers);
        else this.model.send({ ...question, request });
      };
      if (this.heardOnce || !READING.has(String(question.type))) say();
      else this.heardOnce = sayAgain(say);
    });
  }

  close(): void {
    this.heardOnce?.();
    this.model.off("msg:custom", this.hear);
    this.waiting.clear();
  }

  private hear = (content: Content, buffers: DataView[] = []): void => {
    if (content.type === "changed") return this.news(content);
    const asked = this.waiting.get(content.request);
    if (!asked) return;
    this.heardOnce?.();
    this.waiting.delete(content.request);
    if (content.type === "refused") asked.reject(new Error(content.message));
    else asked.resolve([content, buffers]);
  };
}
