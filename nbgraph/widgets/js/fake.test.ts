// A model as anywidget gives it, with a kernel that is a list: `sent` is what the page sent, `tell` what it hears.
export const HOSTILE = "<img src=x onerror='globalThis.planted=1'><script>globalThis.planted=1</script>";

export class FakeModel {
  sent: any[] = [];
  private listeners: ((content: any, buffers: DataView[]) => void)[] = [];

  get(_name?: string): unknown {
    return undefined;
  }
  on(_: string, callback: any): void {
    this.listeners.push(callback);
  }
  off(_: string, callback: any): void {
    this.listeners = this.listeners.filter((one) => one !== callback);
  }
  send(content: any): void {
    this.sent.push(content);
  }
  tell(content: any, buffers: DataView[] = []): void {
    for (const listener of this.listeners) listener(content, buffers);
  }
  get listening(): number {
    return this.listeners.length;
  }
}
