/** What the pages' modules read of a browser when they are loaded. Imported before them. */
export {};

const values = new Map<string, string>([["yima.lang", "zh"]]);
Object.assign(globalThis, { sessionStorage: { getItem: (key: string) => values.get(key) ?? null } });
