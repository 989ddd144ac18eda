/**
 * The service worker of one page: keeps the page's own files, so that the page opens without a connection and costs the
 * service nothing. It never sees an answer of the API: requests for anything else go past it. The build makes one of
 * these for each page, with the constants below.
 */

/** The path of the page. */
declare const PAGE: string;
/** The page's files: their paths and what their content has to be (Subresource Integrity). */
declare const FILES: Record<string, string>;
/** The cache's name: the page's prefix, and a digest of `FILES`. */
declare const PREFIX: string;
declare const VERSION: string;

const OFFLINE_PAGE = "/offline.html";
const cacheName = PREFIX + VERSION;
const worker = self as unknown as ServiceWorkerGlobalScope;

/** Keeps all files or none. A node of another version sends other files: the browser then tries again later. */
async function install(): Promise<void> {
  const cache = await caches.open(cacheName);
  const options = { cache: "no-cache", credentials: "omit" } as const;
  await cache.addAll(Object.entries(FILES).map(([path, integrity]) => new Request(path, { ...options, integrity })));
  // A page that is open has loaded its files already, so the new worker need not wait until it is closed.
  await worker.skipWaiting();
}

async function removeOldCaches(): Promise<void> {
  const old = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== cacheName);
  await Promise.all(old.map((name) => caches.delete(name)));
}

async function kept(path: string): Promise<Response | undefined> {
  return (await caches.open(cacheName)).match(path, { ignoreVary: true });
}

/** Another address is the network's, or the page that says that there is no connection. */
async function otherAddress(request: Request): Promise<Response> {
  try {
    return await fetch(request);
  } catch (cause) {
    const page = await kept(OFFLINE_PAGE);
    if (page) return page;
    throw cause;
  }
}

worker.addEventListener("install", (event) => event.waitUntil(install()));
worker.addEventListener("activate", (event) => event.waitUntil(removeOldCaches()));
worker.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== worker.location.origin) return;
  const isNavigation = request.mode === "navigate";
  // A sign-in goes to another site and back: its cookies come with the browser's own request alone.
  if (isNavigation && /^\/sign-(in|out)(\/|$)/.test(pathname)) return;
  if (isNavigation ? pathname === PAGE : Object.hasOwn(FILES, pathname)) {
    // The browser may have removed the file to make room.
    event.respondWith(kept(pathname).then((file) => file ?? fetch(request)));
  } else if (isNavigation) event.respondWith(otherAddress(request));
});
