/** Work that only one tab does at a time. */

/** Runs `work` when no other tab holds the lock (Web Locks); in a browser without them at once. */
export function exclusively<T>(name: string, work: () => Promise<T>): Promise<T> {
  return "locks" in navigator ? navigator.locks.request(name, work) : work();
}
