/** Keeps the screen on while it shows a code. */

let lock: WakeLockSentinel | null = null;
let isAsking = false;

/** Browsers release the lock when the page is hidden, and may refuse it, as with a low battery. */
export function keepScreenOn(on: boolean): void {
  if (!on) {
    void lock?.release();
    lock = null;
  } else if ((lock === null || lock.released) && !isAsking && "wakeLock" in navigator && !document.hidden) {
    isAsking = true;
    const taken = (sentinel: WakeLockSentinel | null): void => {
      isAsking = false;
      lock = sentinel;
    };
    navigator.wakeLock.request("screen").then(taken, () => taken(null));
  }
}
