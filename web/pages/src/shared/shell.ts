/** The page's shell: its own files, kept by its service worker. */

/**
 * Registers the page's service worker once the page has loaded, so that it delays nothing. Browsers have service
 * workers only on https and localhost, and may refuse one: then the page needs a connection to open.
 */
export function keepShell(worker: string, scope: string): void {
  if (!("serviceWorker" in navigator)) return;
  const register = (): void => {
    navigator.serviceWorker.register(worker, { scope, updateViaCache: "none" }).catch(() => undefined);
  };
  if (document.readyState === "complete") register();
  else window.addEventListener("load", register, { once: true });
}
