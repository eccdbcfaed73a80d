/** What the widgets use of an anywidget model. */
export interface Model {
  get(name: string): unknown;
  on(event: string, callback: (...values: any[]) => void): void;
  off(event: string, callback: (...values: any[]) => void): void;
  /** Only where the host is one of Jupyter's. */
  widget_manager?: { get_model(id: string): Promise<{ comm_live?: boolean }> | undefined };
  send(content: unknown, callbacks?: unknown, buffers?: ArrayBuffer[]): void;
}

export interface Widget {
  render(context: { model: Model; el: HTMLElement }): () => void;
}
