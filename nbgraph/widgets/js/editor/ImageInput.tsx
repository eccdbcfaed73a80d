// A picture of the studio: chosen among the newest, or uploaded.
import { type ChangeEvent, type DragEvent, useEffect, useState } from "react";

import { useStore, useStored } from "./context.ts";
import type { ControlProps } from "./Field.tsx";
import { upload } from "./files.ts";
import { NO_IMAGE } from "./menus.ts";
import { givesMask, isMask, paintingAt, paintingOf } from "./painting.ts";

export function ImageInput({ node, label, spec, value, disabled, set }: ControlProps) {
  const store = useStore();
  const [open, setOpen] = useState(false);
  const name: string | undefined = value?.image_name;
  const url = useStored((one) => (name ? one.thumbnails[name] : undefined));
  const newest = useStored((one) => one.newest);
  const thumbnails = useStored((one) => one.thumbnails);
  useEffect(() => {
    if (name && !store.thumbnails[name] && store.canRun) void store.ask({ type: "pictures", names: [name] });
  }, [name, store]);
  const show = (): void => {
    setOpen(!open);
    if (!open) void store.ask({ type: "pictures", names: null });
  };
  const choose = (chosen: string): void => {
    set({ image_name: chosen });
    setOpen(false);
  };
  const take = async (file: File): Promise<void> => {
    const uploaded = await upload(store, file);
    if (uploaded) choose(uploaded);
  };
  const drop = (event: DragEvent): void => {
    const [file] = event.dataTransfer.files;
    if (!file || disabled) return;
    event.preventDefault();
    event.stopPropagation();
    void take(file);
  };
  const chooseFile = async (event: ChangeEvent<HTMLInputElement>): Promise<void> => {
    const file = event.target.files?.[0];
    if (!file) return;
    await take(file);
  };
  const takesMask = useStored((state) => isMask(spec) || givesMask(state, node));
  const paint = (): void => {
    const state = store.state.getState();
    const painting = isMask(spec) ? paintingAt(state, node, spec.name) : paintingOf(state, node);
    if (painting) store.showPaint(painting);
    else store.toast(NO_IMAGE, "refusal");
  };
  return (
    <span className="nbg-image-input">
      {takesMask && (
        <button type="button" className="nbg-paint-button" disabled={disabled} onClick={paint}>
          Paint…
        </button>
      )}
      <button type="button" aria-label={label} aria-expanded={open} disabled={disabled} onClick={show} onDrop={drop}>
        {url ? (
          <img src={url} alt={name} />
        ) : (
          <span className="nbg-choose" data-text={name?.slice(0, 8) ?? "choose…"} />
        )}
      </button>
      {open && (
        <span className="nbg-gallery nowheel" role="dialog" aria-label="pictures">
          <label className="nbg-b nbg-upload">
            Upload a file…
            <input
              className="nbg-unseen"
              type="file"
              accept="image/png,image/jpeg,image/webp"
              onChange={(event) => void chooseFile(event)}
            />
          </label>
          {newest.map((one) => (
            <button key={one} type="button" aria-label={`picture ${one.slice(0, 8)}`} onClick={() => choose(one)}>
              <img src={thumbnails[one]} alt="" />
            </button>
          ))}
          {!newest.length && <em>there are no pictures yet</em>}
        </span>
      )}
    </span>
  );
}
