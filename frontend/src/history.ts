/** What was answered before. It lives in this browser only; file names may name patients, so it
 * ends with the tab unless the user wants to keep it. */

const KEY = "tumorlens.history";
const MOST = 500;

export interface Entry {
  time: string;
  name: string;
  answer: string;
  where: "browser" | "server";
}

export class History {
  get kept(): boolean {
    return localStorage.getItem(KEY) !== null;
  }

  /** Keep it after the tab is closed, or forget what was kept. */
  keep(wanted: boolean): void {
    const entries = JSON.stringify(this.entries());
    localStorage.removeItem(KEY);
    (wanted ? localStorage : sessionStorage).setItem(KEY, entries);
  }

  entries(): Entry[] {
    const text = localStorage.getItem(KEY) ?? sessionStorage.getItem(KEY) ?? "[]";
    try {
      return JSON.parse(text) as Entry[];
    } catch {
      return [];
    }
  }

  add(entry: Entry): void {
    const entries = [entry, ...this.entries()].slice(0, MOST);
    (this.kept ? localStorage : sessionStorage).setItem(KEY, JSON.stringify(entries));
  }

  clear(): void {
    sessionStorage.removeItem(KEY);
    if (this.kept) localStorage.setItem(KEY, "[]");
  }
}
