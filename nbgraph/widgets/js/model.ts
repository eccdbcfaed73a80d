/** A kernel, as Jupyter's widget manager has it. */
export interface Kernel {
  requestCommInfo(content: { target_name: string }): Promise<{ content: { status: string; comms: object } }>;
  createComm(target: string): {
    open(data: unknown): unknown;
    onMsg: (message: { content: { data: any } }) => void;
    onClose: (message: unknown) => void;
  };
}

/** A model as the widget manager has it; what a widget is given may be wrapped. */
export interface RawModel {
  comm_live?: boolean;
}

/** What the widgets use of an anywidget model. */
export interface Model {
  get(name: string): unknown;
  on(event: string, callback: (...values: any[]) => void): void;
  off(event: string, callback: (...values: any[]) => void): void;
  /** Only where the host is one of Jupyter's. */
  widget_manager?: { get_model(id: string): Promise<RawModel> | undefined; readonly kernel?: Kernel | null };
  send(content: unknown, callbacks?: unknown, buffers?: ArrayBuffer[]): void;
}

export interface Widget {
  render(context: { model: Model; el: HTMLElement }): () => void;
}

/** A widget without a view: it works on the page from when the page knows it. */
export interface Started {
  start(model: Model): () => void;
}
