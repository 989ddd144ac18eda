/** A name for this phone, which its holder may change. */

const BROWSERS = [
  ["MicroMessenger", /MicroMessenger/],
  ["Edge", /Edg(?:e|A|iOS)?\//],
  ["Samsung", /SamsungBrowser/],
  ["Firefox", /Firefox|FxiOS/],
  ["Chrome", /Chrome|CriOS/],
  ["Safari", /Safari/],
] as const;
const DEVICES = ["iPhone", "iPad", "HarmonyOS", "Android", "Windows", "Mac", "Linux"];

/** By the browser's own name (`navigator.userAgent`): browser and system, as far as they are known. */
export function proposeName(userAgent: string): string {
  const browser = BROWSERS.find(([, pattern]) => pattern.test(userAgent))?.[0];
  const device = DEVICES.find((name) => userAgent.includes(name));
  return [device, browser].filter((part) => part !== undefined).join(" · ");
}
