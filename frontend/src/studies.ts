/** Series on the page that belong to one study, and what they say together. */
import { studyByServer, studyInBrowser } from "./classify";
import type { Engine } from "./engine";
import { type Item, ownAnswer } from "./items";
import { isFailure, isStudy, type Result, type StudyPrediction } from "./types";

export class Studies {
  private readonly answers = new Map<string, StudyPrediction>();
  private readonly asked = new Map<string, Promise<Result[]>>();

  constructor(private readonly engine: Engine) {}

  /** The items of the study of `item`; itself, where it belongs to none. */
  membersOf(item: Item, items: Item[]): Item[] {
    const key = keyOf(item);
    return key === null ? [item] : items.filter((candidate) => keyOf(candidate) === key);
  }

  /** Null where it is not known yet, or there is only one series. */
  answerOf(item: Item): StudyPrediction | null {
    return this.answers.get(keyOf(item) ?? "") ?? null;
  }

  all(items: Item[]): StudyPrediction[] {
    const keys = new Set(items.map(keyOf));
    return [...this.answers].flatMap(([key, answer]) => (keys.has(key) ? [answer] : []));
  }

  /** What the server says of the files of `members`, which are sent once. */
  sent(members: Item[]): Promise<Result[]> {
    const key = members.map(({ id, run }) => `${id}.${run}`).join();
    const known = this.asked.get(key) ?? studyByServer(members);
    this.asked.set(key, known);
    return known;
  }

  /** Ask once all members have their answers; whether there is one now. */
  async ask(item: Item, members: Item[], inside: boolean): Promise<boolean> {
    const key = keyOf(item);
    if (key === null || members.length < 2 || members.some(({ results }) => results.includes(null))) return false;
    const answer = inside ? await studyInBrowser(item.image!.origin!.study, members, this.engine) : (await this.sent(members)).find(isStudy);
    if (answer) this.answers.set(key, answer);
    return answer !== undefined && answer !== null;
  }

  forget(item: Item): void {
    this.answers.delete(keyOf(item) ?? "");
  }

  clear(): void {
    this.answers.clear();
    this.asked.clear();
  }
}

/** What the series of one study of one patient have in common. */
function keyOf({ image }: Item): string | null {
  return image?.origin ? `${image.origin.study} ${image.origin.patient}` : null;
}

/** The series to open: the one that decides. Stacks of one series have its UID alike, so their answers are compared. */
export function decidingItem({ members, decisive_member }: StudyPrediction, items: Item[]): Item | null {
  const { series_instance_uid: uid, path, tumor_probability: share } = members[decisive_member];
  const candidates = items.flatMap((item) => {
    const answer = ownAnswer(item);
    const isOfSeries = uid === null || item.image?.origin?.series === uid;
    return answer && !isFailure(answer) && isOfSeries && answer.path === path ? [{ item, answer }] : [];
  });
  return (candidates.find(({ answer }) => answer.tumor_probability === share) ?? candidates[0])?.item ?? null;
}
