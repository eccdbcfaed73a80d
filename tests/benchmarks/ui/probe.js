// Measures in the page: what goes over the kernel's socket, when nodes are painted, and how evenly frames come.
(() => {
  const probe = { messages: [], shown: [], stamps: [] };
  globalThis.probe = probe;

  // v1.kernel.websocket.jupyter.org: the number of offsets, the offsets, then channel, header, parent, metadata, content.
  const note = (data, out) => {
    if (!(data instanceof ArrayBuffer || ArrayBuffer.isView(data))) return;
    const bytes = ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const offset = (number) => Number(view.getBigUint64(8 * (number + 1), true));
    const text = (from, to) => new TextDecoder().decode(bytes.subarray(from, to));
    const type = /"msg_type": ?"(\w+)"/.exec(text(offset(1), offset(2)))?.[1] ?? "";
    const content = offset(5) - offset(4);
    const kind = content < 20_000 ? /"type": ?"(\w+)"/.exec(text(offset(4), offset(5)))?.[1] ?? "" : "large";
    const opens = type === "comm_open" && text(offset(4), offset(5)).includes('"_document"');
    probe.messages.push({ at: performance.now(), out, type, kind, content, frame: bytes.byteLength, opens });
  };
  const Plain = globalThis.WebSocket;
  globalThis.WebSocket = class extends Plain {
    constructor(...values) {
      super(...values);
      this.addEventListener("message", (event) => note(event.data, false));
    }
    send(data) {
      note(data, true);
      super.send(data);
    }
  };

  /** Note at each frame how many nodes are painted, until that has not changed for a second. */
  probe.watch = () => {
    probe.shown = [];
    probe.messages = [];
    let last = -1;
    let since = performance.now();
    const look = () => {
      const now = performance.now();
      const nodes = [...document.querySelectorAll(".react-flow__node")];
      const count = nodes.filter((node) => node.style.visibility !== "hidden").length;
      if (count !== last) {
        last = count;
        since = now;
        requestAnimationFrame(() => probe.shown.push({ at: performance.now(), count }));
      }
      probe.settled = count > 0 && now - since > 1000;
      if (!probe.settled) requestAnimationFrame(look);
    };
    look();
  };

  /** Watch until the nodes in the page stand elsewhere; `moved` is the time of the first frame that shows it. */
  probe.moves = () => {
    const places = () => [...document.querySelectorAll(".react-flow__node")].map((node) => node.dataset.id + node.style.transform).join();
    const before = places();
    probe.moved = 0;
    const look = () => {
      if (places() === before) requestAnimationFrame(look);
      else probe.moved = performance.now();
    };
    requestAnimationFrame(look);
    return performance.now();
  };

  /** The point nearest to the middle of the canvas that lies on such an element, or on the empty canvas ("" for that). */
  probe.find = (selector) => {
    const box = document.querySelector(".nbg-canvas").getBoundingClientRect();
    const points = [];
    for (const element of selector ? document.querySelectorAll(selector) : []) {
      const { left, top, width, height } = element.getBoundingClientRect();
      points.push({ x: left + width / 2, y: top + height / 2 });
    }
    for (let x = box.left; !selector && x < box.right; x += 6) for (let y = box.top; y < box.bottom; y += 6) points.push({ x, y });
    const far = ({ x, y }) => Math.hypot(x - box.left - box.width / 2, y - box.top - box.height / 2);
    return points.sort((one, other) => far(one) - far(other)).find(({ x, y }) => {
      const element = document.elementFromPoint(x, y);
      return selector ? element?.closest(selector) : element?.classList.contains("react-flow__pane");
    });
  };

  probe.record = () => {
    probe.stamps = [];
    probe.recording = true;
    const stamp = (at) => {
      probe.stamps.push(at);
      if (probe.recording) requestAnimationFrame(stamp);
    };
    requestAnimationFrame(stamp);
  };
  probe.stop = () => {
    probe.recording = false;
    return probe.stamps;
  };
})();
