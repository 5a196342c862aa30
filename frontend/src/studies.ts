/** Series on the page that belong to one study, and what they say together. */
import { studyByServer, studyInBrowser } from "./classify";
import type { Engine } from "./engine";
import { type Item, ownAnswer } from "./items";
import { isFailure, isStudy, type Result, type StudyPrediction } from "./types";
import { type Examination, examinationsOf } from "./visits";

export class Studies {
  /** What is said of the visit that an item belongs to, by the item's number. */
  private readonly answers = new Map<number, { study: string; answer: StudyPrediction }>();
  private readonly asked = new Map<string, Promise<Result[]>>();

  constructor(private readonly engine: Engine) {}

  /** What the study of `item` divides into; itself, where it belongs to none. */
  examinationsOf(item: Item, items: Item[]): Examination[] {
    const key = keyOf(item);
    if (key === null) return [{ path: item.name, members: [item], notes: [] }];
    return examinationsOf(items.filter((candidate) => keyOf(candidate) === key));
  }

  /** The items of the visit of `item`. */
  membersOf(item: Item, items: Item[]): Item[] {
    return this.examinationsOf(item, items).find(({ members }) => members.includes(item))?.members ?? [item];
  }

  /** Null where it is not known yet, or there is only one series. */
  answerOf(item: Item): StudyPrediction | null {
    return this.answers.get(item.id)?.answer ?? null;
  }

  all(items: Item[]): StudyPrediction[] {
    return [...new Set(items.flatMap((item) => this.answerOf(item) ?? []))];
  }

  /** What the server says of the files of `members`, which are sent once. */
  sent(members: Item[]): Promise<Result[]> {
    const key = members.map(({ id, run }) => `${id}.${run}`).join();
    const known = this.asked.get(key) ?? studyByServer(members, this.engine);
    this.asked.set(key, known);
    return known;
  }

  /** Ask once all members have their answers; null while there is none. */
  async ask({ path, members, notes }: Examination, inside: boolean): Promise<StudyPrediction | null> {
    const study = keyOf(members[0]);
    if (study === null || members.length < 2 || members.some(({ results }) => results.includes(null))) return null;
    const uid = members[0].image!.origin!.study;
    const found = inside ? await studyInBrowser(path, uid, members, this.engine) : (await this.sent(members)).find(isStudy);
    if (!found) return null;
    // The server knows nothing of other visits.
    const answer = { ...found, path, notes: [...found.notes, ...notes] };
    for (const { id } of members) this.answers.set(id, { study, answer });
    return answer;
  }

  /** All of its study, whose visits may change. */
  forget(item: Item): void {
    const key = keyOf(item);
    for (const [id, { study }] of this.answers) if (study === key) this.answers.delete(id);
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
