// Says a widget's first words until the kernel has heard them.

/** Milliseconds before the second time; the pause doubles each time. */
const FIRST_PAUSE = 500;
const TIMES = 6;

/**
 * Call `say` now, and again after a while, until the returned function is called; at most six times in 16 seconds.
 *
 * JupyterLab has a kernel start a subshell for widgets when the first one is shown. What is sent before it has
 * started waits for the end of the running cell, which is when a live view is no longer of use.
 */
export function sayAgain(say: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const once = (left: number, pause: number): void => {
    say();
    timer = left > 1 ? setTimeout(() => once(left - 1, 2 * pause), pause) : undefined;
  };
  once(TIMES, FIRST_PAUSE);
  return () => clearTimeout(timer);
}
