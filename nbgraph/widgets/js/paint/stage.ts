// The view of the image with its mask, frame and brush. It draws at most once a frame, and only what has changed.
import { element, Pictures } from "../dom.ts";
import { FrameHandles, type FrameHost } from "./frame.ts";
import type { Pads } from "./history.ts";
import { type Rect, union } from "./mask.ts";
import { Overlay } from "./overlay.ts";
import type { Session } from "./session.ts";
import { type Point, Viewport } from "./viewport.ts";

/** From this scale on the pixels of an image are shown as squares. */
const SQUARES = 3;
const MOST_RATIO = 2;

export class Stage {
  readonly port: Viewport;
  readonly overlay = new Overlay();
  readonly area: HTMLElement;
  /** Where the brush is, in pixels of the frame; null while nothing points. */
  brush: Point | null = null;
  radius = 16;
  /** Called when the image was fitted into a view of another size. */
  fitted = (): void => {};
  private readonly picture = element("img", { class: "nbm-picture", alt: "", draggable: "false" });
  private readonly paper = element("div", { class: "nbm-paper" });
  private readonly ring = element("div", { class: "nbm-ring nbp-hidden" });
  private readonly pictures = new Pictures();
  private readonly frame: FrameHandles;
  private preview: Pads | null = null;
  private dirty: Rect | null = null;
  private whole = true;
  private waiting = 0;
  private ratio = 1;
  private readonly observer: ResizeObserver | null;

  constructor(
    private readonly session: Session,
    label: string,
    host: Omit<FrameHost, "scale" | "preview" | "pads">,
  ) {
    this.port = new Viewport({ width: 640, height: 400 }, { width: 1, height: 1 });
    this.frame = new FrameHandles({
      ...host,
      pads: () => session.pads,
      scale: () => this.port.scale,
      preview: (pads) => {
        this.preview = pads;
        this.draw();
      },
    });
    this.frame.root.classList.add("nbp-hidden");
    this.area = element(
      "div",
      { class: "nbm-area", tabindex: 0, role: "application", "aria-label": label },
      this.paper,
      this.picture,
      this.overlay.canvas,
      this.ring,
    );
    this.overlay.canvas.className = "nbm-overlay";
    this.observer = typeof ResizeObserver === "undefined" ? null : new ResizeObserver(() => this.resize());
    this.observer?.observe(this.area);
  }

  /** The handles lie beside the area: a child of an application would be read as a part of its picture. */
  get handles(): HTMLElement {
    return this.frame.root;
  }

  close(): void {
    cancelAnimationFrame(this.waiting);
    this.observer?.disconnect();
    this.pictures.clear();
  }

  showFrame(shown: boolean): void {
    this.frame.root.classList.toggle("nbp-hidden", !shown);
    this.draw();
  }

  /** The image has come, or the frame is another. */
  reset(fit: boolean): void {
    const { mask, image } = this.session;
    this.port.image = { width: mask.width, height: mask.height };
    if (image && !this.pictures.get("image")) this.picture.src = this.pictures.put("image", image, "image/png");
    if (fit) this.port.fit();
    this.draw();
  }

  /** Draw again what has changed: a rectangle of the mask, or everything. */
  draw(rect: Rect | null = null): void {
    if (rect) this.dirty = union(this.dirty, rect);
    else this.whole = true;
    if (!this.waiting) this.waiting = requestAnimationFrame(() => this.drawNow());
  }

  /** Move the brush alone; nothing else is drawn. */
  moveBrush(at: Point | null): void {
    this.brush = at;
    this.drawRing();
  }

  toImage(event: { clientX: number; clientY: number }): Point {
    const { left, top } = this.area.getBoundingClientRect();
    return this.port.toImage({ x: event.clientX - left, y: event.clientY - top });
  }

  /** The middle of the view, or a point of the page, within the view. */
  place(at?: Point): Point {
    if (!at) return { x: this.port.view.width / 2, y: this.port.view.height / 2 };
    const { left, top } = this.area.getBoundingClientRect();
    return { x: at.x - left, y: at.y - top };
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.area;
    if (!width || !height) return;
    const wasFitted = Math.abs(this.port.scale - this.port.fitting) < 1e-6;
    this.port.view = { width, height };
    this.ratio = Math.min(MOST_RATIO, globalThis.devicePixelRatio || 1);
    this.overlay.resize(width, height, this.ratio);
    if (wasFitted) this.port.fit();
    this.draw();
    this.fitted();
  }

  private drawNow(): void {
    this.waiting = 0;
    const { mask } = this.session;
    if (this.whole) this.layOut();
    this.overlay.draw(mask, this.port, this.ratio, this.whole ? null : this.dirty);
    this.dirty = null;
    this.whole = false;
  }

  private layOut(): void {
    const { port, picture, paper } = this;
    const { pads, mask, imageSize } = this.session;
    const now = this.preview ?? pads;
    const { scale } = port;
    picture.style.transform = `translate(${port.x + pads[0] * scale}px, ${port.y + pads[1] * scale}px)`;
    picture.style.width = `${imageSize.width * scale}px`;
    picture.style.height = `${imageSize.height * scale}px`;
    picture.classList.toggle("nbm-squares", scale >= SQUARES);
    const [x, y] = [port.x + (pads[0] - now[0]) * scale, port.y + (pads[1] - now[1]) * scale];
    const width = (mask.width - pads[0] - pads[2] + now[0] + now[2]) * scale;
    const height = (mask.height - pads[1] - pads[3] + now[1] + now[3]) * scale;
    paper.style.transform = `translate(${x}px, ${y}px)`;
    paper.style.width = `${width}px`;
    paper.style.height = `${height}px`;
    this.frame.place({ x, y, width, height }, now);
    this.drawRing();
  }

  /** The frame is no longer dragged. */
  endPreview(): void {
    this.preview = null;
  }

  private drawRing(): void {
    const { ring, brush, port } = this;
    ring.classList.toggle("nbp-hidden", !brush);
    if (!brush) return;
    const size = Math.max(3, 2 * this.radius * port.scale);
    const [x, y] = [port.x + brush.x * port.scale - size / 2, port.y + brush.y * port.scale - size / 2];
    ring.style.width = ring.style.height = `${size}px`;
    ring.style.transform = `translate(${x}px, ${y}px)`;
  }
}
